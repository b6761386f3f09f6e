// One step of every environment, in arguments that need no conversion: arrays of just the right dtype, shape and layout, or, of one
// environment, numbers. Whatever else it is, somebody else converts it or says what is wrong with it.
// Threads: any, attached to the interpreter; an ExactStep is for one call.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "batch_fields.hpp"
#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae::bindings {

// What a buffer's steps have to be.
struct ExactLayouts {
  ExactLayouts(const Layouts& layouts, std::int64_t num_envs)
      : obs(layouts.obs.front()), action(layouts.action), has_one_obs(layouts.obs.size() == 1) {
    for (std::int64_t env = 0; env < num_envs; ++env) env_ids.push_back(env);
  }

  ArrayLayout obs, action;
  bool has_one_obs;
  std::vector<std::int64_t> env_ids;
  ArrayLayout float64 = Layouts::scalar<double>(), float32 = Layouts::scalar<float>(), flag = Layouts::scalar<bool>();
  py::dtype int64 = py::dtype::of<std::int64_t>();
  py::object numpy_int64 = py::module_::import("numpy").attr("int64"), numpy_true = py::module_::import("numpy").attr("True_"),
             numpy_false = py::module_::import("numpy").attr("False_");
};

class ExactStep {
 public:
  explicit ExactStep(const ExactLayouts& layouts) : layouts_(layouts) {}
  ExactStep(const ExactStep&) = delete;  // the view points into it

  // Whether it is such a step: then it is in `view` for as long as the arguments and this live.
  bool read(py::handle obs, py::handle action, py::handle reward, py::handle next_obs, py::handle terminated, py::handle truncated) {
    if (!layouts_.has_one_obs) return false;
    has_axis_ = num_envs() > 1 || !PyFloat_Check(reward.ptr());
    view.env_ids = layouts_.env_ids;
    view.obs = {data(obs, layouts_.obs)};
    view.next_obs = {data(next_obs, layouts_.obs)};
    view.action = action_data(action);
    view.reward = reward_data(reward);
    view.terminated = flag_data(terminated, terminated_);
    view.truncated = flag_data(truncated, truncated_);
    return view.obs[0] && view.next_obs[0] && view.action && view.reward && view.terminated && view.truncated;
  }

  StepsView view{1, {}, {}, {}, nullptr, nullptr, nullptr, nullptr};

 private:
  std::int64_t num_envs() const { return static_cast<std::int64_t>(layouts_.env_ids.size()); }

  // Of an array [E, *shape] (without the axis [*shape]) of this dtype, C-contiguous and aligned; nullptr: it is none.
  const std::byte* data(py::handle value, const ArrayLayout& layout) const {
    if (!py::isinstance<py::array>(value)) return nullptr;
    constexpr int kAsItIs = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    const auto* const array = py::detail::array_proxy(value.ptr());
    if (array->descr != layout.dtype.ptr() || (array->flags & kAsItIs) != kAsItIs) return nullptr;
    const py::ssize_t *extents = array->dimensions, *const end = extents + array->nd;
    if (has_axis_ && (extents == end || *extents++ != num_envs())) return nullptr;
    return std::equal(extents, end, layout.shape.begin(), layout.shape.end()) ? reinterpret_cast<const std::byte*>(array->data) : nullptr;
  }

  const std::byte* action_data(py::handle action) {
    if (has_axis_ || !layouts_.action.shape.empty()) return data(action, layouts_.action);
    const bool is_integer = PyLong_CheckExact(action.ptr()) || py::type::handle_of(action).is(layouts_.numpy_int64);
    if (!is_integer || !layouts_.action.dtype.is(layouts_.int64)) return nullptr;
    number_ = PyLong_AsLongLong(action.ptr());
    if (number_ != -1 || PyErr_Occurred() == nullptr) return reinterpret_cast<const std::byte*>(&number_);
    PyErr_Clear();
    return nullptr;
  }

  const double* reward_data(py::handle reward) {
    if (!has_axis_) {
      rewards_ = {PyFloat_AS_DOUBLE(reward.ptr())};
    } else if (const std::byte* const doubles = data(reward, layouts_.float64)) {
      return reinterpret_cast<const double*>(doubles);
    } else {
      const auto* const floats = reinterpret_cast<const float*>(data(reward, layouts_.float32));
      if (floats == nullptr) return nullptr;
      rewards_.assign(floats, floats + num_envs());
    }
    return rewards_.data();
  }

  const bool* flag_data(py::handle flag, bool& value) const {
    if (has_axis_) return reinterpret_cast<const bool*>(data(flag, layouts_.flag));
    value = flag.ptr() == Py_True || flag.is(layouts_.numpy_true);
    return value || flag.ptr() == Py_False || flag.is(layouts_.numpy_false) ? &value : nullptr;
  }

  const ExactLayouts& layouts_;
  bool has_axis_ = true;  // of environments
  std::int64_t number_ = 0;
  bool terminated_ = false, truncated_ = false;
  std::vector<double> rewards_;
};

}  // namespace mujigae::bindings
