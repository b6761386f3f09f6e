// Memory for batches: recycled, not reallocated.
//
// A fresh multi-megabyte array costs a page fault every 4 KiB, more than filling it. A block that its last holder lets go
// waits here for the next batch of the same size; at most kMaxSpares of one size wait, only the kMaxSizes newest sizes, and in all
// no more than kMaxSpareBytes: the oldest sizes go first.
//
// Threads: any may take and return blocks.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "mujigae/fork_safe_mutex.hpp"
#include "mujigae/storage/pages.hpp"

namespace mujigae {

class Arena : public std::enable_shared_from_this<Arena> {
 public:
  static constexpr std::size_t kAlignment = 64;  // or more (pages.hpp)
  static constexpr std::size_t kMaxSpares = 4, kMaxSizes = 16, kMaxSpareBytes = 256 << 20;

  // A block of `size` bytes (contents unspecified); it comes back by itself when the last copy of the pointer goes.
  std::shared_ptr<std::byte> take(std::size_t size);
  std::size_t spare_bytes() const;  // that wait

 private:
  struct Spares {
    std::size_t size;
    std::vector<Pages> blocks;
  };

  void drop_oldest_size();
  Pages find_spare(std::size_t size);
  void give_back(Pages block, std::size_t size) noexcept;

  mutable ForkSafeMutex mutex_{ForkSafeMutex::Level::kInner};
  std::deque<Spares> spares_;
  std::size_t spare_bytes_ = 0;
};

}  // namespace mujigae
