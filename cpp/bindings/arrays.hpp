// The one gate for arrays: what comes in is checked here by name, and what goes out is allocated here.
//
// Other threads may write into an argument while a call reads it: its values are read once (copied.hpp). To resize an array behind
// NumPy's back (resize(refcheck=False)) while a call uses it is the caller's fault, as it is in NumPy.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mujigae/storage/arena.hpp"
#include "mujigae/check.hpp"
#include "mujigae/copied.hpp"
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

// A new array [size] of uint8 on these bytes, which are not copied.
py::array array_of(std::vector<std::byte> bytes);

// A new array on recycled memory: the block returns to the arena with the last view of it.
py::array allocate(Arena& arena, const py::dtype& dtype, const Shape& shape);

// The values of a caller's array, read once. The GIL is not needed.
template <class T>
Copied<T> copied(const py::array_t<T, py::array::c_style>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

std::string describe(const Shape& shape);

// Bytes of the trailing axes of a frame that together have at least 16: those that lie one above the other in a picture.
std::int64_t row_bytes(std::int64_t item_bytes, const Shape& frame_shape);

// None, an int or a numpy SeedSequence -> the key that NumPy's Philox would have. Names the seed when it is none of them.
Philox::Key philox_key(const py::object& seed);

// (ok, reason): see mujigae.replay.batch.Validity.
py::object validity(const std::string& reason);

}  // namespace mujigae::bindings
