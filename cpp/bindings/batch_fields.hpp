// The dtypes and shapes of a buffer's fields, and batches as Python sees them. Threads: any, attached to the interpreter.
#pragma once

#include <pybind11/gil_safe_call_once.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "mujigae/replay/batch.hpp"
#include "mujigae/replay/schema.hpp"
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

// Of numbers (no references to Python objects), and of so few bytes that no product with a stack or a sequence overflows.
inline ArrayLayout to_layout(const char* name, const py::handle& dtype_and_shape) {
  constexpr std::int64_t kMaxBytes = std::int64_t{1} << 40;
  const auto pair = dtype_and_shape.cast<py::tuple>();
  ArrayLayout layout{py::dtype::from_args(pair[0]), pair[1].cast<Shape>()};
  if (std::strchr("biufc", layout.dtype.kind()) == nullptr) throw py::type_error(concat(name, ": expected a numeric dtype"));
  std::int64_t bytes = layout.dtype.itemsize();
  for (const py::ssize_t extent : layout.shape) {
    if (extent < 1 || bytes > kMaxBytes / extent) {
      fail_value(name, ": expected positive extents and at most 2^40 bytes, got shape ", describe(layout.shape));
    }
    bytes *= extent;
  }
  return layout;
}

// One field of a batch or of transitions: rows of one layout.
class ArrayField {
 public:
  ArrayField(const char* name, const ArrayLayout& row) : name_(name), row_bytes_(row.bytes()), dtype_(row.dtype), shape_({0}) {
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

// What a buffer's rows are made of, as Python describes it.
struct Layouts {
  std::vector<ArrayLayout> obs;
  ArrayLayout action;
  std::vector<std::string> extra_names;
  std::vector<ArrayLayout> extras;
  py::object tree;  // of an observation: the index of an array, or a dict or tuple of trees

  template <class T>
  static ArrayLayout scalar() {
    return {py::dtype::of<T>(), {}};
  }
  ArrayLayout of(const Field& field) const {
    ArrayLayout layout = of_step(field);
    if (field.num_steps > 0) layout.shape.insert(layout.shape.begin(), static_cast<py::ssize_t>(field.num_steps));
    return layout;
  }
  ArrayLayout of_step(const Field& field) const {
    switch (field.kind) {
      case FieldKind::kObs:
      case FieldKind::kNextObs: return obs[field.index];
      case FieldKind::kAction: return action;
      case FieldKind::kExtra: return extras[field.index];
      default: return {py::dtype(dtype_of(field.kind)), {}};
    }
  }
};

// The fields of a batch as arrays of Python's, in the order of a schema. A field of several arrays is a list of them; extras are a dict.
class BatchFields {
 public:
  enum class Kind { kRows, kSequences };

  BatchFields(const Layouts& layouts, const Schema& schema, Kind kind) : layouts_(layouts), schema_(schema), kind_(kind) {
    for (const Field& field : schema) {
      if (items_.empty() || items_.back() != field.kind) items_.push_back(field.kind);
      arrays_.emplace_back(out_name(field.kind), layouts.of(field));
    }
    if (items_.back() != FieldKind::kExtra) items_.push_back(FieldKind::kExtra);
  }

  BatchView view_of(const py::handle& batch, std::int64_t batch_size) {
    const bool is_batch = PyTuple_Check(batch.ptr()) && PyTuple_GET_SIZE(batch.ptr()) == static_cast<py::ssize_t>(items_.size());
    if (!is_batch) throw py::type_error("out: expected the fields of a batch");
    std::vector<std::byte*> data;
    data.reserve(schema_.size());
    for (std::size_t item = 0; item < items_.size(); ++item) {
      append(items_[item], PyTuple_GET_ITEM(batch.ptr(), static_cast<py::ssize_t>(item)), batch_size, data);
    }
    check_apart(data, batch_size);
    return mujigae::view_of(batch_size, schema_, data);
  }

  py::object batch_on(const BatchMemory& memory) {
    const std::vector<std::byte*> data = fields_of(memory.view, schema_);
    std::vector<py::capsule> holders;
    const auto array_of = [&](std::size_t at) {
      std::size_t owner = 0;  // the first field in the same block
      while (memory.owners[owner] != memory.owners[at]) ++owner;
      holders.push_back(owner < at ? holders[owner] : holder_of(memory.owners[at]));
      return arrays_[at].array_on(data[at], holders.back(), static_cast<py::ssize_t>(memory.view.batch_size));
    };
    py::tuple items(items_.size());
    for (std::size_t item = 0, at = 0; item < items_.size(); ++item) items[item] = value_of(items_[item], at, array_of);
    return to_batch(items);
  }

 private:
  static const char* out_name(FieldKind kind) {
    static const std::array<std::string, 12> kNames = [] {
      std::array<std::string, 12> names;
      for (std::size_t k = 0; k < names.size(); ++k) names[k] = std::string("out.") + name_of(static_cast<FieldKind>(k));
      return names;
    }();
    return kNames[static_cast<std::size_t>(kind)].c_str();
  }

  bool is_list(FieldKind kind) const { return (kind == FieldKind::kObs || kind == FieldKind::kNextObs) && layouts_.obs.size() > 1; }

  // The next item of a batch, whose first array is that of field `at`, which goes on behind it.
  template <class ArrayOf>
  py::object value_of(FieldKind kind, std::size_t& at, const ArrayOf& array_of) const {
    if (kind == FieldKind::kExtra) {
      py::dict extras;
      for (const std::string& name : layouts_.extra_names) extras[py::str(name)] = array_of(at++);
      return extras;
    }
    if (!is_list(kind)) return array_of(at++);
    py::list arrays;
    for (std::size_t c = 0; c < layouts_.obs.size(); ++c) arrays.append(array_of(at++));
    return arrays;
  }

  // Imported once, and held until the interpreter ends.
  static const py::object& batch_type(Kind kind) {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> of_rows, of_sequences;
    auto& type = kind == Kind::kRows ? of_rows : of_sequences;
    const char* name = kind == Kind::kRows ? "Batch" : "SequenceBatch";
    return type.call_once_and_store_result([name] { return py::module_::import("mujigae.replay.batch").attr(name); }).get_stored();
  }

  // A NamedTuple without a call into Python.
  py::object to_batch(const py::tuple& items) {
    const py::object& type = batch_type(kind_);
    const py::tuple arguments = py::make_tuple(items);
    auto* made = PyTuple_Type.tp_new(reinterpret_cast<PyTypeObject*>(type.ptr()), arguments.ptr(), nullptr);
    if (made == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(made);
  }

  void append(FieldKind kind, const py::handle& value, std::int64_t batch_size, std::vector<std::byte*>& data) const {
    if (kind == FieldKind::kExtra) {
      for (const std::string& name : layouts_.extra_names) append_array(extra_of(value, name), batch_size, data);
    } else if (is_list(kind)) {
      const auto arrays = value.cast<std::vector<py::object>>();
      if (arrays.size() != layouts_.obs.size())
        fail_value(out_name(kind), ": expected ", layouts_.obs.size(), " arrays, got ", arrays.size());
      for (const py::object& array : arrays) append_array(array, batch_size, data);
    } else {
      append_array(value, batch_size, data);
    }
  }

  static py::handle extra_of(const py::handle& extras, const std::string& name) {
    const py::handle found = PyDict_Check(extras.ptr()) ? PyDict_GetItemString(extras.ptr(), name.c_str()) : nullptr;
    if (!found) throw py::type_error("out.extras: expected a dict with " + name);
    return found;
  }

  void append_array(const py::handle& array, std::int64_t batch_size, std::vector<std::byte*>& data) const {
    data.push_back(arrays_[data.size()].data_out(array, static_cast<py::ssize_t>(batch_size)));
  }

  // Every field has memory of its own.
  void check_apart(const std::vector<std::byte*>& data, std::int64_t batch_size) const {
    std::vector<std::pair<const std::byte*, std::int64_t>> extents;
    extents.reserve(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) extents.emplace_back(data[i], arrays_[i].row_bytes() * batch_size);
    std::sort(extents.begin(), extents.end());
    for (std::size_t i = 1; i < extents.size(); ++i) {
      if (extents[i].first < extents[i - 1].first + extents[i - 1].second) {
        fail_value("out: expected fields that do not overlap, got two that do");
      }
    }
  }

  Layouts layouts_;
  Schema schema_;
  Kind kind_;
  std::vector<FieldKind> items_;  // of a batch, in order
  std::vector<ArrayField> arrays_;
};

}  // namespace mujigae::bindings
