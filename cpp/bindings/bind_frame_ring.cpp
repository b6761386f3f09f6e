#include <pybind11/stl.h>

#include <cstring>
#include <mutex>

#include "arrays.hpp"
#include "gil.hpp"
#include "module.hpp"
#include "mujigae/fork_safe_mutex.hpp"
#include "mujigae/storage/available_memory.hpp"
#include "mujigae/frames/frame_ring.hpp"

namespace mujigae::bindings {
namespace {

py::dtype plain_dtype(const py::object& value) {
  const py::dtype dtype = [&] {
    try {
      return py::dtype::from_args(value);
    } catch (const py::error_already_set&) {
      throw py::type_error("dtype: expected a native numeric dtype, got " + py::repr(value).cast<std::string>());
    }
  }();
  if (std::strchr("biufc", dtype.kind()) == nullptr || !dtype.attr("isnative").cast<bool>()) {
    throw py::type_error("dtype: expected a native numeric dtype, got " + py::str(dtype).cast<std::string>());
  }
  return dtype;
}

std::int64_t bytes_of(const py::dtype& dtype, const Shape& shape) {
  constexpr std::int64_t kMaxBytes = std::int64_t{1} << 40;
  std::int64_t bytes = dtype.itemsize();
  for (const py::ssize_t extent : shape) {
    if (extent < 1 || extent > kMaxBytes / bytes) {
      fail_value("frame_shape: expected positive extents and at most 2^40 bytes, got ", describe(shape));
    }
    bytes *= extent;
  }
  return bytes;
}

std::int64_t at_least_one(const char* name, const py::object& number, std::int64_t most) {
  const std::int64_t value = integer(name, number);
  if (value < 1 || value > most) fail_value(name, ": expected 1 to ", most, ", got ", value);
  return value;
}

Shape shape_of(const py::object& extents) {
  Shape shape;
  try {
    for (const py::handle extent : extents) shape.push_back(static_cast<py::ssize_t>(integer("frame_shape", extent)));
  } catch (const py::error_already_set&) {
    throw py::type_error("frame_shape: expected a sequence of integers, got " + py::repr(extents).cast<std::string>());
  }
  return shape;
}

Shape prepend(py::ssize_t extent, const Shape& shape) {
  Shape out = {extent};
  out.insert(out.end(), shape.begin(), shape.end());
  return out;
}

class LockedFrameRing {
 public:
  LockedFrameRing(const py::object& capacity, const py::object& frame_shape, const py::object& stack, const py::object& dtype,
                  const py::object& compress)
      : compress_(boolean("compress", compress)),
        dtype_(plain_dtype(dtype)),
        frame_shape_(shape_of(frame_shape)),
        stack_shape_(prepend(at_least_one("stack", stack, StackLane::kMaxStack), frame_shape_)),
        stack_bytes_(static_cast<std::size_t>(bytes_of(dtype_, stack_shape_))),
        ring_(checked(capacity, bytes_of(dtype_, frame_shape_), compress_),
              {bytes_of(dtype_, frame_shape_), stack_shape_[0], row_bytes(dtype_.itemsize(), frame_shape_)}, compress_) {}

  std::int64_t start(const py::object& frames) {
    const std::byte* memory = data_in("frames", frames, dtype_, stack_shape_);
    const ReleasedGil release;  // the argument keeps the memory alive
    const std::lock_guard lock(mutex_);
    return ring_.start(memory);
  }

  std::int64_t append(const py::object& frame) {
    const std::byte* memory = data_in("frame", frame, dtype_, frame_shape_);
    const ReleasedGil release;
    const std::lock_guard lock(mutex_);
    return ring_.append(memory);
  }

  py::object stacks(const py::object& slots, const py::object& out) const {
    const auto slot_array = integers("slots", slots);
    const Shape shape = prepend(slot_array.size(), stack_shape_);
    py::object result = out.is_none() ? py::array(dtype_, shape) : out;
    std::byte* to = data_out("out", result, dtype_, shape);
    read_all(slot_array, to);
    return result;
  }

  template <class Call>
  auto locked(const Call& call) const {
    const ReleasedGil release;
    const std::lock_guard lock(mutex_);
    return call();
  }

  std::int64_t size() const {
    return locked([this] { return ring_.size(); });
  }
  std::int64_t capacity() const { return ring_.capacity(); }
  std::int64_t nbytes() const {
    return locked([this] { return ring_.nbytes(); });
  }
  py::object check_valid() const {
    return validity(locked([this] { return ring_.why_invalid(); }));
  }

 private:
  static std::int64_t checked(const py::object& capacity, std::int64_t frame_bytes, bool compress) {
    const std::int64_t count = at_least_one("capacity", capacity, std::int64_t{1} << 40);
    check_memory("capacity", saturating_product(count, saturating_sum(min_stored_bytes(frame_bytes, compress), sizeof(Stack))));
    return count;
  }
  void read_all(const py::array_t<std::int64_t, py::array::c_style>& slot_array, std::byte* to) const {
    const ReleasedGil release;  // plain memory from here on
    const Copied<std::int64_t> slots = copied(slot_array);
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < slots.size(); ++i) ring_.check_slot(slots[i], i);
    for (std::size_t i = 0; i < slots.size(); ++i) ring_.read(slots[i], to + i * stack_bytes_);
  }

  bool compress_;
  py::dtype dtype_;
  Shape frame_shape_, stack_shape_;
  std::size_t stack_bytes_;
  FrameRing ring_;
  mutable ForkSafeMutex mutex_;
};

}  // namespace

void bind_frame_ring(py::module_& m) {
  py::class_<LockedFrameRing>(m, "FrameRing", R"(The last `capacity` rolling stacks of one stream, every frame stored once.

Args:
    capacity: stacks kept, each in a slot 0 ... capacity - 1; the oldest is overwritten.
    frame_shape: shape of one frame, without the stack axis.
    stack: frames in a stack (K), 1 to 255.
    dtype: of the frames.
    compress: keep each frame in as few bytes as the frame before it allows, lossless; slower to append. Frames of fewer than 1024
        bytes stay as they are.

An episode's first stack comes back exactly, whatever its padding; zeros, repeats of its first frame and a continuation of
the stack before it cost no memory beyond the new frames. Any thread may call anything.)")
      .def(py::init<py::object, py::object, py::object, py::object, py::object>(), py::arg("capacity"), py::arg("frame_shape"),
           py::arg("stack"), py::kw_only(), py::arg("dtype") = "uint8", py::arg("compress") = false)
      .def("start", &LockedFrameRing::start, py::arg("frames"),
           "Begins an episode with its first stack [K, *frame_shape]; returns the stack's slot.")
      .def("append", &LockedFrameRing::append, py::arg("frame"),
           "Rolls the newest stack on by one frame [*frame_shape]; returns the new stack's slot. ValueError before any start.")
      .def("stacks", &LockedFrameRing::stacks, py::arg("slots"), py::arg("out") = py::none(),
           "The stacks [B, K, *frame_shape] in [B] slots, into `out` if given. IndexError for a slot that was never written.")
      .def_property_readonly("capacity", &LockedFrameRing::capacity)
      .def_property_readonly("nbytes", &LockedFrameRing::nbytes, "Bytes of memory in use.")
      .def("__len__", &LockedFrameRing::size)
      .def("check_valid", &LockedFrameRing::check_valid, "(ok, reason): true when every slot refers to frames that are held.");
}

}  // namespace mujigae::bindings
