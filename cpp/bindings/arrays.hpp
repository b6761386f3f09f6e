// The one gate for arrays: what comes in is checked here by name, and what goes out is allocated here.
//
// Other threads may write into an argument while a call reads it: its values are read once (Reading). To resize an array behind
// NumPy's back (resize(refcheck=False)) while a call uses it is the caller's fault, as it is in NumPy.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "mujigae/storage/arena.hpp"
#include "mujigae/check.hpp"
#include "mujigae/sampling/random.hpp"

namespace mujigae::bindings {

namespace py = pybind11;

using Shape = std::vector<py::ssize_t>;

// Small arguments: arrays of this very type are taken as they are; lists and arrays of another width are converted within their kind; another kind is a TypeError.
py::array_t<std::int64_t, py::array::c_style> integers(const char* name, const py::handle& value, py::ssize_t ndim = 1);
py::array_t<double, py::array::c_style> reals(const char* name, const py::handle& value, py::ssize_t ndim = 1);
py::array_t<bool, py::array::c_style> booleans(const char* name, const py::handle& value, py::ssize_t ndim = 1);

// Scalars. A float is no integer, and a truth value is neither an integer nor a number.
std::int64_t integer(const char* name, const py::handle& value);
double real(const char* name, const py::handle& value);
bool boolean(const char* name, const py::handle& value);
std::int64_t batch_size_of(const py::handle& value);  // 1 to 2^31

// Data: exactly this dtype and shape, C-contiguous; never cast or copied.
const std::byte* data_in(const char* name, const py::handle& value, const py::dtype& dtype, const Shape& shape);
std::byte* data_out(const char* name, const py::handle& value, const py::dtype& dtype, const Shape& shape);

// A new array [size] of int64 or float64, in a third of the time that py::array_t takes for a small one.
template <class T>
py::array_t<T> new_vector(py::ssize_t size);

// What keeps a block of an arena as long as an array on it, or a view of one, is alive.
py::capsule holder_of(std::shared_ptr<std::byte> block);

// A new array on recycled memory: the block returns to the arena with the last view of it.
py::array allocate(Arena& arena, const py::dtype& dtype, const Shape& shape);

// The values of a caller's array, read once: whatever another thread writes there meanwhile, what is checked is what is used. A few
// are kept without an allocation. Of booleans each byte becomes 0 or 1. The GIL is not needed.
template <class T>
class Reading {
 public:
  explicit Reading(const py::array_t<T, py::array::c_style>& array)
      : size_(static_cast<std::size_t>(array.size())), many_(size_ > kFew ? std::make_unique_for_overwrite<T[]>(size_) : nullptr) {
    T* const to = many_ ? many_.get() : few_.data();
    if constexpr (std::is_same_v<T, bool>) {
      const auto* const from = reinterpret_cast<const unsigned char*>(array.data());
      std::transform(from, from + size_, to, [](unsigned char byte) { return byte != 0; });
    } else {
      std::copy_n(array.data(), size_, to);
    }
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  operator std::span<const T>() const { return {many_ ? many_.get() : few_.data(), size_}; }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kFew = 64;

  std::size_t size_;
  std::unique_ptr<T[]> many_;
  std::array<T, kFew> few_;
};

// Indices are copied: whatever another thread does to the caller's array, what was checked is what is used.
inline std::vector<std::int64_t> copied(const py::array_t<std::int64_t, py::array::c_style>& array) {
  return {array.data(), array.data() + array.size()};
}

std::string describe(const Shape& shape);

// Bytes of the trailing axes of a frame that together have at least 16: those that lie one above the other in a picture.
std::int64_t row_bytes(std::int64_t item_bytes, const Shape& frame_shape);

// None, an int or a numpy SeedSequence -> the key that NumPy's Philox would have. Names the seed when it is none of them.
Philox::Key philox_key(const py::object& seed);

// (ok, reason): see mujigae.replay.batch.Validity.
py::object validity(const std::string& reason);

}  // namespace mujigae::bindings
