// A fixed number of plain values, zero at first: memory of its own, or a part of a mapped file.
//
// Its own memory costs nothing until it is touched: the system maps pages of zeros in one by one. It begins at a cache line.
// For reads here and there, a long column may ask for pages of 2 MiB (whether it gets them is the system's choice), so that
// finding the page costs less than the read. A part of a file must be given back before the file is.
// O(1) everything. Threads: none; the owner locks.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

namespace mujigae {

template <class T>
class Column {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  static constexpr std::int64_t kCacheLine = 64, kHugePage = std::int64_t{1} << 21;

 public:
  Column() = default;
  explicit Column(std::int64_t size, std::byte* mapped = nullptr) : values_(reinterpret_cast<T*>(mapped)), size_(size) {
    if (mapped == nullptr) allocate(kCacheLine);
  }

  static Column with_huge_pages(std::int64_t size) {
    if (size * static_cast<std::int64_t>(sizeof(T)) < kHugePage / 2) return Column(size);
    Column column;
    column.size_ = size;
    column.allocate(kHugePage);
#ifdef MADV_HUGEPAGE
    ::madvise(column.values_, static_cast<std::size_t>(column.nbytes()), MADV_HUGEPAGE);  // no is an answer too
#endif
    return column;
  }

  T& operator[](std::int64_t i) { return values_[i]; }
  const T& operator[](std::int64_t i) const { return values_[i]; }
  T* data() { return values_; }
  const T* data() const { return values_; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  std::int64_t size() const { return size_; }
  std::int64_t nbytes() const { return size_ * static_cast<std::int64_t>(sizeof(T)); }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  void allocate(std::int64_t alignment) {
    if (size_ == 0) return;
    memory_.reset(std::calloc(static_cast<std::size_t>(nbytes() + alignment), 1));
    if (!memory_) throw std::bad_alloc();
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.get());
    const auto unit = static_cast<std::uintptr_t>(alignment);
    values_ = reinterpret_cast<T*>((address + unit - 1) / unit * unit);
  }

  std::unique_ptr<void, Free> memory_;  // none for a part of a file
  T* values_ = nullptr;
  std::int64_t size_ = 0;
};

}  // namespace mujigae
