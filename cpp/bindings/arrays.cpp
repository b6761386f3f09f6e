#include "arrays.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace mujigae::bindings {
namespace {

std::string text(const py::handle& value) { return py::str(value).cast<std::string>(); }

// Indices of 64 bits without a sign are cast like any others, but not into negative ones.
void check_sign(const char* name, const py::array& array) {
  if (array.dtype().kind() != 'u' || array.itemsize() < 8) return;
  const auto words = py::array_t<std::uint64_t, py::array::c_style | py::array::forcecast>::ensure(array);
  for (py::ssize_t i = 0; i < words.size(); ++i) {
    if (words.data()[i] >> 63 != 0) fail_index(name, "[", i, "]: expected an index below 2^63, got ", words.data()[i]);
  }
}

template <class T>
py::array_t<T, py::array::c_style> converted(const char* name, const py::handle& value, py::ssize_t ndim, const char* kinds,
                                             const char* expected) {
  if (py::array_t<T, py::array::c_style>::check_(value) && py::detail::array_proxy(value.ptr())->nd == ndim) {
    return py::reinterpret_borrow<py::array_t<T, py::array::c_style>>(value);
  }
  auto array = py::array::ensure(value);
  if (!array && py::hasattr(value, "detach")) array = py::array::ensure(value.attr("detach")());  // a tensor that requires a gradient
  if (!array) {
    PyErr_Clear();
    throw py::type_error(concat(name, ": expected ", expected, ", got ", text(py::type::handle_of(value).attr("__name__"))));
  }
  const bool is_empty_list = array.size() == 0 && array.dtype().kind() == 'f';
  if (std::strchr(kinds, array.dtype().kind()) == nullptr && !is_empty_list) {
    throw py::type_error(concat(name, ": expected ", expected, ", got dtype ", text(array.dtype())));
  }
  if (array.ndim() != ndim) {
    fail_value(name, ": expected ", ndim, " dimension(s), got shape ", describe(Shape(array.shape(), array.shape() + array.ndim())));
  }
  if (std::is_same_v<T, std::int64_t>) check_sign(name, array);
  return py::array_t<T, py::array::c_style>(py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(array));
}

py::array checked(const char* name, const py::handle& value, const py::dtype& dtype, const Shape& shape) {
  if (!py::isinstance<py::array>(value)) {
    throw py::type_error(concat(name, ": expected a NumPy array, got ", text(py::type::handle_of(value).attr("__name__"))));
  }
  const auto array = py::reinterpret_borrow<py::array>(value);
  if (!array.dtype().is(dtype) && !array.dtype().equal(dtype)) {
    throw py::type_error(concat(name, ": expected dtype ", text(dtype), ", got ", text(array.dtype())));
  }
  if (!std::equal(shape.begin(), shape.end(), array.shape(), array.shape() + array.ndim())) {
    fail_value(name, ": expected shape ", describe(shape), ", got ", describe(Shape(array.shape(), array.shape() + array.ndim())));
  }
  if ((array.flags() & py::array::c_style) == 0) fail_value(name, ": expected a C-contiguous array, got another layout");
  return array;
}

}  // namespace

std::int64_t row_bytes(std::int64_t item_bytes, const Shape& frame_shape) {
  constexpr std::int64_t kMinRowBytes = 16;
  std::int64_t bytes = item_bytes;
  for (auto extent = frame_shape.rbegin(); extent != frame_shape.rend() && bytes < kMinRowBytes; ++extent) bytes *= *extent;
  return bytes;
}

std::string describe(const Shape& shape) {
  std::string out = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) out += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return out + (shape.size() == 1 ? ",)" : ")");
}

py::array_t<std::int64_t, py::array::c_style> integers(const char* name, const py::handle& value, py::ssize_t ndim) {
  return converted<std::int64_t>(name, value, ndim, "iu", "integers");
}

py::array_t<double, py::array::c_style> reals(const char* name, const py::handle& value, py::ssize_t ndim) {
  return converted<double>(name, value, ndim, "fiu", "real numbers");
}

py::array_t<bool, py::array::c_style> booleans(const char* name, const py::handle& value, py::ssize_t ndim) {
  return converted<bool>(name, value, ndim, "b", "booleans");
}

std::int64_t integer(const char* name, const py::handle& value) {
  const auto number = py::isinstance<py::bool_>(value) ? py::object() : py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  PyErr_Clear();
  if (!number) throw py::type_error(concat(name, ": expected an integer, got ", text(py::repr(value))));
  const std::int64_t integer = PyLong_AsLongLong(number.ptr());
  if (PyErr_Occurred() == nullptr) return integer;
  PyErr_Clear();
  fail_value(name, ": expected a 64-bit integer, got ", text(number));
}

double real(const char* name, const py::handle& value) {
  if (!py::isinstance<py::bool_>(value)) {
    const double number = PyFloat_AsDouble(value.ptr());
    if (PyErr_Occurred() == nullptr) return number;
    PyErr_Clear();
  }
  throw py::type_error(concat(name, ": expected a real number, got ", text(py::repr(value))));
}

bool boolean(const char* name, const py::handle& value) {
  if (py::isinstance<py::bool_>(value) || py::isinstance(value, py::module_::import("numpy").attr("bool_"))) return value.cast<bool>();
  throw py::type_error(concat(name, ": expected True or False, got ", text(py::repr(value))));
}

std::int64_t batch_size_of(const py::handle& value) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  const std::int64_t size = integer("batch_size", value);
  if (size < 1) fail_value("batch_size: expected at least 1, got ", size);
  if (size > kMost) fail_value("batch_size: expected at most 2^31, got ", size);
  return size;
}

const std::byte* data_in(const char* name, const py::handle& value, const py::dtype& dtype, const Shape& shape) {
  return static_cast<const std::byte*>(checked(name, value, dtype, shape).data());
}

std::byte* data_out(const char* name, const py::handle& value, const py::dtype& dtype, const Shape& shape) {
  const py::array array = checked(name, value, dtype, shape);
  if (!array.writeable()) fail_value(name, ": expected a writeable array, got a read-only one");
  return static_cast<std::byte*>(const_cast<void*>(array.data()));
}

template <class T>
py::array_t<T> new_vector(py::ssize_t size) {
  auto& api = py::detail::npy_api::get();
  PyObject* array = api.PyArray_NewFromDescr_(api.PyArray_Type_, py::dtype::of<T>().release().ptr(), 1,
                                              reinterpret_cast<Py_intptr_t*>(&size), nullptr, nullptr, 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::array_t<T>>(array);
}

template py::array_t<std::int64_t> new_vector(py::ssize_t);
template py::array_t<double> new_vector(py::ssize_t);

py::array allocate(Arena& arena, const py::dtype& dtype, const Shape& shape) {
  auto bytes = static_cast<std::size_t>(dtype.itemsize());
  for (const py::ssize_t extent : shape) bytes *= static_cast<std::size_t>(extent);
  std::shared_ptr<std::byte> block = arena.take(bytes);
  std::byte* memory = block.get();
  return py::array(dtype, shape, memory, holder_of(std::move(block)));
}

py::array array_of(std::vector<std::byte> bytes) {
  auto held = std::make_unique<std::vector<std::byte>>(std::move(bytes));
  std::byte* const memory = held->data();
  const auto size = static_cast<py::ssize_t>(held->size());
  const py::capsule holder(held.release(), [](void* p) { delete static_cast<std::vector<std::byte>*>(p); });
  return py::array(py::dtype::of<std::uint8_t>(), {size}, {}, memory, holder);
}

py::capsule holder_of(std::shared_ptr<std::byte> block) {
  auto held = std::make_unique<std::shared_ptr<std::byte>>(std::move(block));
  return {held.release(), [](void* p) { delete static_cast<std::shared_ptr<std::byte>*>(p); }};
}

Philox::Key philox_key(const py::object& seed) {
  const py::object sequence_type = py::module_::import("numpy.random").attr("SeedSequence");
  const py::object sequence = [&]() -> py::object {
    if (py::isinstance(seed, sequence_type)) return seed;
    try {
      return sequence_type(seed);
    } catch (const py::error_already_set& error) {
      const std::string what = concat("seed: expected None, an integer of at least 0 or a SeedSequence, got ", text(py::repr(seed)));
      if (error.matches(PyExc_TypeError)) throw py::type_error(what);
      throw py::value_error(what);
    }
  }();
  const auto words = sequence.attr("generate_state")(2, "uint64").attr("tolist")().cast<std::vector<std::uint64_t>>();
  return {words[0], words[1]};
}

py::object validity(const std::string& reason) {
  return py::module_::import("mujigae.replay.batch").attr("Validity")(reason.empty(), reason);
}

}  // namespace mujigae::bindings
