// The values of a caller's array, read once: whatever another thread writes there meanwhile, what is checked is what is used.
//
// A few are kept without an allocation. Of booleans each byte becomes false or true. O(count). Threads: none.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

namespace mujigae {

template <class T>
class Copied {
 public:
  Copied(const T* from, std::size_t size) : size_(size), many_(size > kFew ? std::make_unique_for_overwrite<T[]>(size) : nullptr) {
    T* const to = many_ ? many_.get() : few_.data();
    if constexpr (std::is_same_v<T, bool>) {
      const auto* const bytes = reinterpret_cast<const unsigned char*>(from);
      std::transform(bytes, bytes + size, to, [](unsigned char byte) { return byte != 0; });
    } else {
      std::copy_n(from, size, to);
    }
  }
  Copied(const Copied&) = delete;
  Copied& operator=(const Copied&) = delete;

  const T& operator[](std::size_t i) const { return data()[i]; }
  const T* data() const { return many_ ? many_.get() : few_.data(); }
  std::size_t size() const { return size_; }
  operator std::span<const T>() const { return {data(), size_}; }

 private:
  static constexpr std::size_t kFew = 64;

  std::size_t size_;
  std::unique_ptr<T[]> many_;
  std::array<T, kFew> few_;
};

}  // namespace mujigae
