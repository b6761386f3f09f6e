// The dtypes and shapes of a buffer's fields, and batches as Python sees them. Threads: any, attached to the interpreter.
#pragma once

#include <pybind11/gil_safe_call_once.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "mujigae/replay/batch.hpp"
#include "mujigae/frames/frame_ring.hpp"

namespace mujigae::bindings {

struct ArrayLayout {
  py::dtype dtype;
  Shape shape;

  std::int64_t bytes() const {
    std::int64_t bytes = dtype.itemsize();
    for (const py::ssize_t extent : shape) bytes *= extent;
    return bytes;
  }
  FrameLayout frames(std::int64_t stack) const {
    Shape frame_shape = shape;
    if (stack > 1) frame_shape[0] /= stack;
    return {bytes() / stack, stack, mujigae::bindings::row_bytes(dtype.itemsize(), frame_shape)};
  }
};

inline ArrayLayout to_layout(const py::handle& dtype_and_shape) {
  const auto pair = dtype_and_shape.cast<py::tuple>();
  return {py::dtype::from_args(pair[0]), pair[1].cast<Shape>()};
}

// One field of a batch or of transitions: rows of one layout.
class Field {
 public:
  Field(const char* name, const ArrayLayout& row) : name_(name), row_bytes_(row.bytes()), dtype_(row.dtype), shape_({0}) {
    shape_.insert(shape_.end(), row.shape.begin(), row.shape.end());
  }

  const char* name() const { return name_; }
  std::int64_t row_bytes() const { return row_bytes_; }
  const std::byte* data_in(const py::handle& array, py::ssize_t rows) const { return bindings::data_in(name_, array, dtype_, shape(rows)); }
  std::byte* data_out(const py::handle& array, py::ssize_t rows) const { return bindings::data_out(name_, array, dtype_, shape(rows)); }
  py::array array_on(std::byte* memory, const py::capsule& holder, py::ssize_t rows) const { return {dtype_, shape(rows), memory, holder}; }

 private:
  // In memory of the thread's, so that nothing is allocated; good until its next call.
  const Shape& shape(py::ssize_t rows) const {
    thread_local Shape of_rows;
    of_rows = shape_;
    of_rows[0] = rows;
    return of_rows;
  }

  const char* name_;
  std::int64_t row_bytes_;
  py::dtype dtype_;
  Shape shape_;
};

struct Layouts {
  std::vector<ArrayLayout> obs;
  ArrayLayout action;

  template <class T>
  static ArrayLayout scalar() {
    return {py::dtype::of<T>(), {}};
  }
  std::vector<Field> of_batch() const {  // in the order of batch.hpp
    std::vector<Field> fields;
    for (const ArrayLayout& one : obs) fields.emplace_back("out.obs", one);
    fields.emplace_back("out.action", action);
    fields.emplace_back("out.reward", scalar<float>());
    for (const ArrayLayout& one : obs) fields.emplace_back("out.next_obs", one);
    fields.emplace_back("out.discount", scalar<float>());
    fields.emplace_back("out.terminated", scalar<bool>());
    fields.emplace_back("out.weight", scalar<float>());
    fields.emplace_back("out.key", scalar<std::int64_t>());
    return fields;
  }
};

// Batch(obs, action, reward, next_obs, discount, terminated, weight, key) as fields in the order of batch.hpp, and back: with
// several observations, obs and next_obs are lists of arrays.
class BatchFields {
 public:
  explicit BatchFields(const Layouts& layouts) : num_obs_(layouts.obs.size()), fields_(layouts.of_batch()) {}

  BatchView view_of(const py::handle& batch, std::int64_t batch_size) {
    if (!PyTuple_Check(batch.ptr()) || PyTuple_GET_SIZE(batch.ptr()) != kNumItems) throw py::type_error("out: expected the fields of a batch");
    std::vector<std::byte*> data;
    data.reserve(fields_.size());
    for (py::ssize_t item = 0; item < kNumItems; ++item) {
      const py::handle value = PyTuple_GET_ITEM(batch.ptr(), item);
      if (is_obs(item) && num_obs_ > 1) {
        append_list(value, batch_size, data);
      } else {
        append(value, batch_size, data);
      }
    }
    check_apart(data, batch_size);
    return mujigae::view_of(batch_size, data);
  }

  py::object batch_on(const BatchMemory& memory) {
    const std::vector<std::byte*> data = fields_of(memory.view);
    std::vector<py::capsule> holders;
    py::tuple items(kNumItems);
    std::size_t at = 0;
    const auto next_array = [&] {
      std::size_t owner = 0;  // the first field in the same block
      while (memory.owners[owner] != memory.owners[at]) ++owner;
      holders.push_back(owner < at ? holders[owner] : holder_of(memory.owners[at]));
      const py::capsule& holder = holders.back();
      const std::size_t field = at++;
      return fields_[field].array_on(data[field], holder, static_cast<py::ssize_t>(memory.view.batch_size));
    };
    for (py::ssize_t item = 0; item < kNumItems; ++item) {
      const auto i = static_cast<std::size_t>(item);
      if (is_obs(item) && num_obs_ > 1) {
        py::list arrays;
        for (std::size_t c = 0; c < num_obs_; ++c) arrays.append(next_array());
        items[i] = arrays;
      } else {
        items[i] = next_array();
      }
    }
    return to_batch(items);
  }

 private:
  static constexpr py::ssize_t kNumItems = 8;

  static bool is_obs(py::ssize_t item) { return item == 0 || item == 3; }

  // A NamedTuple without a call into Python.
  static py::object to_batch(const py::tuple& items) {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> type;
    const py::object& batch = type.call_once_and_store_result([] { return py::module_::import("mujigae.replay.batch").attr("Batch"); }).get_stored();
    const py::tuple arguments = py::make_tuple(items);
    auto* made = PyTuple_Type.tp_new(reinterpret_cast<PyTypeObject*>(batch.ptr()), arguments.ptr(), nullptr);
    if (made == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(made);
  }

  void append(const py::handle& array, std::int64_t batch_size, std::vector<std::byte*>& data) {
    data.push_back(fields_[data.size()].data_out(array, static_cast<py::ssize_t>(batch_size)));
  }

  void append_list(const py::handle& value, std::int64_t batch_size, std::vector<std::byte*>& data) {
    const auto arrays = value.cast<std::vector<py::object>>();
    if (arrays.size() != num_obs_) fail_value(fields_[data.size()].name(), ": expected ", num_obs_, " arrays, got ", arrays.size());
    for (const py::object& array : arrays) append(array, batch_size, data);
  }

  // Every field has memory of its own.
  void check_apart(const std::vector<std::byte*>& data, std::int64_t batch_size) const {
    std::vector<std::pair<const std::byte*, std::int64_t>> extents;
    extents.reserve(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) extents.emplace_back(data[i], fields_[i].row_bytes() * batch_size);
    std::sort(extents.begin(), extents.end());
    for (std::size_t i = 1; i < extents.size(); ++i) {
      if (extents[i].first < extents[i - 1].first + extents[i - 1].second) {
        fail_value("out: expected fields that do not overlap, got two that do");
      }
    }
  }

  std::size_t num_obs_;
  std::vector<Field> fields_;
};

}  // namespace mujigae::bindings
