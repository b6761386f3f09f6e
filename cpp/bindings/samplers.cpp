#include "samplers.hpp"

#include <map>
#include <string>

#include "mujigae/check.hpp"
#include "mujigae/sampling/proportional.hpp"
#include "mujigae/sampling/rank_based.hpp"
#include "mujigae/sampling/uniform.hpp"

namespace mujigae::bindings {
namespace {

namespace py = pybind11;

SamplerPlan uniform(const py::dict& settings) { return Uniform::plan({settings["replacement"].cast<bool>()}); }

SamplerPlan proportional(const py::dict& settings) {
  return Proportional::plan({settings["alpha"].cast<double>(), settings["beta"].cast<double>(), settings["eps"].cast<double>(),
                             settings["stratified"].cast<bool>(), settings["uniform_share"].cast<double>(),
                             settings["replacement"].cast<bool>()});
}

SamplerPlan rank_based(const py::dict& settings) {
  return RankBased::plan({settings["alpha"].cast<double>(), settings["beta"].cast<double>()});
}

}  // namespace

SamplerPlan to_sampler_plan(const py::tuple& name_and_settings) {
  static const std::map<std::string, SamplerPlan (*)(const py::dict&)> kPlans = {
      {"uniform", uniform}, {"proportional", proportional}, {"rank_based", rank_based}};
  const auto name = name_and_settings[0].cast<std::string>();
  const auto found = kPlans.find(name);
  if (found == kPlans.end()) fail_value("sampler: expected one that this build has, got ", name);
  return found->second(name_and_settings[1].cast<py::dict>());
}

}  // namespace mujigae::bindings
