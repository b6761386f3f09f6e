// Blocks of memory smaller than a huge page, cut one after the other from large pieces that have huge pages (pages.hpp).
//
//   piece of 32 MiB   | block | block | block | ... not touched yet: costs nothing |
//
// A block that is given back is taken again by whoever asks for as many bytes; when none is left in use, the pieces go back to the
// system. So frames of a few bytes, in chunks of a megabyte or less, are found as fast as those of one large array, and what was
// touched but is not used is less than a huge page.
//
// O(1). Threads: none; the owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "mujigae/storage/pages.hpp"

namespace mujigae {

class PagePool {
 public:
  static constexpr std::int64_t kPieceBytes = 16 * Pages::kHugePage;

  std::byte* take(std::int64_t bytes);  // at a cache line; at most a huge page. std::bad_alloc when there is no such memory
  void give_back(std::byte* block, std::int64_t bytes);  // as many as were taken

  std::int64_t nbytes() const { return num_free_bytes_; }  // of the blocks that nobody uses

 private:
  static constexpr std::int64_t kLine = 64;

  struct OfSize {
    std::size_t num_blocks = 0;
    std::vector<std::byte*> free;  // has room for all of them, so that to give one back cannot fail
  };

  void cut(std::int64_t bytes, OfSize& blocks);

  std::vector<Pages> pieces_;
  std::int64_t num_cut_ = 0;  // bytes of the last piece
  std::map<std::int64_t, OfSize> blocks_;  // by their bytes
  std::int64_t num_used_ = 0, num_free_bytes_ = 0;
};

}  // namespace mujigae
