// Memory that is zero at first and costs nothing until it is touched.
//
// It begins at a cache line. From half of a huge page (2 MiB) on it begins at one, goes back to the system when it is let go, and
// asks for huge pages as far as they are filled (whether it gets them is the system's choice): then finding the page costs less
// than a read here or there, and a large piece is mapped in without a fault every 4 KiB.
//
// O(1), and the system's time for the pages touched. Threads: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace mujigae {

class Pages {
 public:
  static constexpr std::int64_t kHugePage = std::int64_t{1} << 21;

  Pages() = default;
  explicit Pages(std::int64_t bytes);  // std::bad_alloc when there is no such memory
  Pages(Pages&& other) noexcept { swap(other); }
  Pages& operator=(Pages&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Pages();

  std::byte* get() const { return begin_; }  // nullptr: no bytes
  explicit operator bool() const { return begin_ != nullptr; }

 private:
  void swap(Pages& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    std::swap(begin_, other.begin_);
  }

  void* memory_ = nullptr;
  std::size_t mapped_bytes_ = 0;  // 0: of the heap
  std::byte* begin_ = nullptr;
};

}  // namespace mujigae
