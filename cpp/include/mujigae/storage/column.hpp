// A fixed number of plain values, zero at first: memory of its own (pages.hpp), or a part of a mapped file.
//
// A part of a file must be given back before the file is.
// O(1) everything. Threads: none; the owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "mujigae/storage/pages.hpp"

namespace mujigae {

template <class T>
class Column {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  Column() = default;
  explicit Column(std::int64_t size, std::byte* mapped = nullptr)
      : memory_(mapped == nullptr ? size * static_cast<std::int64_t>(sizeof(T)) : 0),
        values_(reinterpret_cast<T*>(mapped == nullptr ? memory_.get() : mapped)),
        size_(size) {}

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
  Pages memory_;  // none for a part of a file
  T* values_ = nullptr;
  std::int64_t size_ = 0;
};

}  // namespace mujigae
