#include <mutex>
#include <numeric>

#include "arrays.hpp"
#include "gil.hpp"
#include "module.hpp"
#include "mujigae/fork_safe_mutex.hpp"
#include "mujigae/replay/n_step.hpp"

namespace mujigae::bindings {
namespace {

using Completed = std::vector<NStepAccumulator::Completed>;

template <class T, class Field>
py::array_t<T> column(const Completed& completed, const Field& field) {
  py::array_t<T> out(static_cast<py::ssize_t>(completed.size()));
  T* to = out.mutable_data();
  for (const auto& one : completed) *to++ = static_cast<T>(field(one));
  return out;
}

class LockedNStepAccumulator {
 public:
  LockedNStepAccumulator(const py::object& n_step, const py::object& gamma, const py::object& num_envs)
      : accumulator_(integer("n_step", n_step), real("gamma", gamma), integer("num_envs", num_envs)) {}

  py::tuple push(const py::object& reward, const py::object& terminated, const py::object& truncated, const py::object& env_ids) {
    const auto ids = env_ids.is_none() ? all_envs() : integers("env_ids", env_ids);
    const auto reward_array = reals("reward", reward);
    const auto terminated_array = booleans("terminated", terminated);
    const auto truncated_array = booleans("truncated", truncated);
    check_length("reward", reward_array.size(), ids.size());
    check_length("terminated", terminated_array.size(), ids.size());
    check_length("truncated", truncated_array.size(), ids.size());
    const Completed completed = [&] {
      const ReleasedGil release;
      const Copied<double> rewards = copied(reward_array);
      const Copied<bool> are_terminated = copied(terminated_array), are_truncated = copied(truncated_array);
      const Copied<std::int64_t> envs = copied(ids);
      const std::lock_guard lock(mutex_);
      return accumulator_.push(rewards, are_terminated, are_truncated, envs);
    }();
    return py::make_tuple(column<std::int64_t>(completed, [](const auto& c) { return c.env; }),
                          column<std::int64_t>(completed, [](const auto& c) { return c.steps_ago; }),
                          column<float>(completed, [](const auto& c) { return c.window.reward; }),
                          column<float>(completed, [](const auto& c) { return c.window.discount; }),
                          column<std::int64_t>(completed, [](const auto& c) { return c.window.num_steps; }));
  }

  void clear() {
    const ReleasedGil release;
    const std::lock_guard lock(mutex_);
    accumulator_.clear();
  }

  std::int64_t n_step() const { return accumulator_.n_step(); }
  double gamma() const { return accumulator_.gamma(); }
  std::int64_t num_envs() const { return accumulator_.num_envs(); }

  py::object check_valid() const {
    const std::string reason = [this] {
      const ReleasedGil release;
      const std::lock_guard lock(mutex_);
      return accumulator_.why_invalid();
    }();
    return validity(reason);
  }

 private:
  py::array_t<std::int64_t, py::array::c_style> all_envs() const {
    py::array_t<std::int64_t, py::array::c_style> ids(num_envs());
    std::iota(ids.mutable_data(), ids.mutable_data() + ids.size(), 0);
    return ids;
  }

  static void check_length(const char* name, py::ssize_t got, py::ssize_t expected) {
    if (got != expected) fail_value(name, ": expected ", expected, " values, one for each environment, got ", got);
  }

  NStepAccumulator accumulator_;
  mutable ForkSafeMutex mutex_;
};

}  // namespace

void bind_n_step(py::module_& m) {
  py::class_<LockedNStepAccumulator>(m, "NStepAccumulator", R"(n-step returns of several environments, as a stream.

For agents that store transitions themselves: push every step, and get back the windows that it completed. No window
crosses an episode; at an episode's end every open window is completed (Sutton 1988; Hessel et al. 2018).

Args:
    n_step: steps in a full window, at least 1.
    gamma: discount of one step, 0 to 1.
    num_envs: environments, each with a lane of its own.)")
      .def(py::init<py::object, py::object, py::object>(), py::arg("n_step"), py::arg("gamma"), py::arg("num_envs") = 1)
      .def("push", &LockedNStepAccumulator::push, py::arg("reward"), py::arg("terminated"), py::arg("truncated"),
           py::arg("env_ids") = py::none(),
           R"(Adds one step of each environment (all of them, or those in env_ids) and returns the windows completed by it.

Args: reward [E] real, finite and at most the n_step-th part of the largest float32; terminated, truncated [E] bool (both: terminated wins); env_ids [E] integers or None.
Returns (env, steps_ago, reward, discount, num_steps), each [W]: the environment, how many steps before this one the window
started, the discounted sum of rewards (float32, added in float64), gamma^m x (1 - terminated) (float32), and m itself.
Raises ValueError, IndexError or TypeError, and changes nothing, for arguments out of range.)")
      .def("clear", &LockedNStepAccumulator::clear, "Forgets all open windows.")
      .def_property_readonly("n_step", &LockedNStepAccumulator::n_step)
      .def_property_readonly("gamma", &LockedNStepAccumulator::gamma)
      .def_property_readonly("num_envs", &LockedNStepAccumulator::num_envs)
      .def("check_valid", &LockedNStepAccumulator::check_valid, "(ok, reason): true when no open window is complete.");
}

}  // namespace mujigae::bindings
