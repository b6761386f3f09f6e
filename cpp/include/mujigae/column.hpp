// A fixed number of plain values, zero at first: memory of its own, or a part of a mapped file.
//
// Its own memory costs nothing until it is touched: the system maps pages of zeros in one by one. A part of a file must be
// given back before the file is.
// O(1) everything. Threads: none; the owner locks.
#pragma once

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

 public:
  Column() = default;
  explicit Column(std::int64_t size, std::byte* mapped = nullptr)
      : values_(mapped ? reinterpret_cast<T*>(mapped) : allocate(size), Release{mapped != nullptr}), size_(size) {}

  T& operator[](std::int64_t i) { return values_[static_cast<std::size_t>(i)]; }
  const T& operator[](std::int64_t i) const { return values_[static_cast<std::size_t>(i)]; }
  T* data() { return values_.get(); }
  const T* data() const { return values_.get(); }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  std::int64_t size() const { return size_; }
  std::int64_t nbytes() const { return size_ * static_cast<std::int64_t>(sizeof(T)); }

 private:
  struct Release {
    bool is_mapped = false;
    void operator()(T* values) const {
      if (!is_mapped) std::free(values);
    }
  };

  static T* allocate(std::int64_t size) {
    if (size == 0) return nullptr;
    void* memory = std::calloc(static_cast<std::size_t>(size), sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    return static_cast<T*>(memory);
  }

  std::unique_ptr<T[], Release> values_;
  std::int64_t size_ = 0;
};

}  // namespace mujigae
