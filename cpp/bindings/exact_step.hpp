// One step of the environments in arguments that need no conversion: arrays of just the right dtype, shape and layout, in dicts and
// tuples where observations are such, or, of one environment, numbers. Anything else is converted, or refused, by the caller.
// Threads: any, attached to the interpreter; an ExactStep is for one call.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "batch_fields.hpp"
#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae::bindings {

// What a buffer's steps have to be.
struct ExactLayouts {
  ExactLayouts(const Layouts& layouts_, std::int64_t num_envs) : layouts(layouts_) {
    for (std::int64_t env = 0; env < num_envs; ++env) env_ids.push_back(env);
  }

  Layouts layouts;
  std::vector<std::int64_t> env_ids;
  ArrayLayout float64 = Layouts::scalar<double>(), float32 = Layouts::scalar<float>(), flag = Layouts::scalar<bool>(),
              id = Layouts::scalar<std::int64_t>();
  py::dtype int64 = py::dtype::of<std::int64_t>();
  py::object numpy_int64 = py::module_::import("numpy").attr("int64"), numpy_true = py::module_::import("numpy").attr("True_"),
             numpy_false = py::module_::import("numpy").attr("False_");
};

// The arguments of `add`, as they come.
struct StepArguments {
  py::handle obs, action, reward, next_obs, terminated, truncated, env_ids, priority, extras;
};

class ExactStep {
 public:
  explicit ExactStep(const ExactLayouts& layouts) : exact_(layouts) {}
  ExactStep(const ExactStep&) = delete;  // the view points into it

  // Whether it is such a step: then it is in `view` for as long as the arguments and this live.
  bool read(const StepArguments& step) {
    if (!read_ids(step)) return false;
    view.env_ids = env_ids_.empty() ? std::span(exact_.env_ids) : std::span<const std::int64_t>(env_ids_);
    has_axis_ = !env_ids_.empty() || num_envs() > 1 || !PyFloat_Check(step.reward.ptr());
    if (!read_obs(step.obs, view.obs) || !read_obs(step.next_obs, view.next_obs) || !read_extras(step.extras)) return false;
    view.action = action_data(step.action);
    view.reward = reward_data(step.reward);
    view.terminated = flag_data(step.terminated, terminated_);
    view.truncated = flag_data(step.truncated, truncated_);
    if (!step.priority.is_none()) {
      view.priority = has_axis_ ? reinterpret_cast<const double*>(data(step.priority, exact_.float64)) : nullptr;
      if (view.priority == nullptr) return false;
    }
    return view.action && view.reward && view.terminated && view.truncated;
  }

  StepsView view{1, {}, {}, {}, nullptr, nullptr, nullptr, nullptr};

 private:
  std::int64_t num_envs() const { return static_cast<std::int64_t>(view.env_ids.size()); }

  bool read_ids(const StepArguments& step) {
    if (step.env_ids.is_none()) return true;
    if (!py::isinstance<py::array>(step.env_ids)) return false;
    const auto* const array = py::detail::array_proxy(step.env_ids.ptr());
    if (array->nd != 1 || array->dimensions[0] == 0 || array->descr != exact_.id.dtype.ptr() || (array->flags & kAsItIs) != kAsItIs)
      return false;
    const auto* const ids = reinterpret_cast<const std::int64_t*>(array->data);
    env_ids_.assign(ids, ids + array->dimensions[0]);
    return true;
  }

  bool read_obs(py::handle value, std::vector<const std::byte*>& obs) {
    obs.resize(exact_.layouts.obs.size());
    return collect(value, exact_.layouts.tree, obs);
  }

  // The arrays of an observation that is built like the tree; those in dicts are kept, since another thread may take them out.
  bool collect(py::handle value, py::handle tree, std::vector<const std::byte*>& obs) {
    if (PyLong_Check(tree.ptr())) {
      const auto i = static_cast<std::size_t>(PyLong_AsLong(tree.ptr()));
      obs[i] = data(value, exact_.layouts.obs[i]);
      return obs[i] != nullptr;
    }
    if (PyDict_Check(tree.ptr())) {
      if (!PyDict_Check(value.ptr()) || PyDict_Size(value.ptr()) != PyDict_Size(tree.ptr())) return false;
      for (const auto& [name, subtree] : py::reinterpret_borrow<py::dict>(tree)) {
        const py::handle child = PyDict_GetItemWithError(value.ptr(), name.ptr());
        if (!child || !collect(keep(child), subtree, obs)) return PyErr_Clear(), false;
      }
      return true;
    }
    if (!PyTuple_Check(value.ptr()) || PyTuple_GET_SIZE(value.ptr()) != PyTuple_GET_SIZE(tree.ptr())) return false;
    for (py::ssize_t i = 0; i < PyTuple_GET_SIZE(tree.ptr()); ++i) {
      if (!collect(PyTuple_GET_ITEM(value.ptr(), i), PyTuple_GET_ITEM(tree.ptr(), i), obs)) return false;
    }
    return true;
  }

  bool read_extras(py::handle extras) {
    const auto& names = exact_.layouts.extra_names;
    if (names.empty()) return extras.is_none();
    if (!PyDict_Check(extras.ptr()) || PyDict_Size(extras.ptr()) != static_cast<py::ssize_t>(names.size())) return false;
    for (std::size_t x = 0; x < names.size(); ++x) {
      const py::handle value = PyDict_GetItemString(extras.ptr(), names[x].c_str());
      const std::byte* const bytes = value ? data(keep(value), exact_.layouts.extras[x]) : nullptr;
      if (bytes == nullptr) return false;
      view.extras.push_back(bytes);
    }
    return true;
  }

  py::handle keep(py::handle value) { return kept_.emplace_back(py::reinterpret_borrow<py::object>(value)); }

  // Of an array [E, *shape] (without the axis [*shape]) of this dtype, C-contiguous and aligned; nullptr: it is none.
  const std::byte* data(py::handle value, const ArrayLayout& layout) const {
    if (!py::isinstance<py::array>(value)) return nullptr;
    const auto* const array = py::detail::array_proxy(value.ptr());
    if (array->descr != layout.dtype.ptr() || (array->flags & kAsItIs) != kAsItIs) return nullptr;
    const py::ssize_t *extents = array->dimensions, *const end = extents + array->nd;
    if (has_axis_ && (extents == end || *extents++ != num_envs())) return nullptr;
    return std::equal(extents, end, layout.shape.begin(), layout.shape.end()) ? reinterpret_cast<const std::byte*>(array->data) : nullptr;
  }

  const std::byte* action_data(py::handle action) {
    if (has_axis_ || !exact_.layouts.action.shape.empty()) return data(action, exact_.layouts.action);
    const bool is_integer = PyLong_CheckExact(action.ptr()) || py::type::handle_of(action).is(exact_.numpy_int64);
    if (!is_integer || !exact_.layouts.action.dtype.is(exact_.int64)) return nullptr;
    number_ = PyLong_AsLongLong(action.ptr());
    if (number_ != -1 || PyErr_Occurred() == nullptr) return reinterpret_cast<const std::byte*>(&number_);
    PyErr_Clear();
    return nullptr;
  }

  const double* reward_data(py::handle reward) {
    if (!has_axis_) {
      reward_ = PyFloat_AS_DOUBLE(reward.ptr());
      return &reward_;
    }
    if (const std::byte* const doubles = data(reward, exact_.float64)) {
      return reinterpret_cast<const double*>(doubles);
    }
    const auto* const floats = reinterpret_cast<const float*>(data(reward, exact_.float32));
    if (floats == nullptr) return nullptr;
    rewards_.assign(floats, floats + num_envs());
    return rewards_.data();
  }

  const bool* flag_data(py::handle flag, bool& value) const {
    if (has_axis_) return reinterpret_cast<const bool*>(data(flag, exact_.flag));
    value = flag.ptr() == Py_True || flag.is(exact_.numpy_true);
    return value || flag.ptr() == Py_False || flag.is(exact_.numpy_false) ? &value : nullptr;
  }

  static constexpr int kAsItIs = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;

  const ExactLayouts& exact_;
  bool has_axis_ = true;  // of environments
  std::int64_t number_ = 0;
  double reward_ = 0.0;
  bool terminated_ = false, truncated_ = false;
  std::vector<double> rewards_;
  std::vector<std::int64_t> env_ids_;  // none: all, in order
  std::vector<py::object> kept_;
};

}  // namespace mujigae::bindings
