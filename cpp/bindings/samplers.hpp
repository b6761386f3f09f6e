// Samplers by the names that Python has for them: ("proportional", {"alpha": 0.6, ...}).
#pragma once

#include <pybind11/pybind11.h>

#include "mujigae/sampling/sampler.hpp"

namespace mujigae::bindings {

SamplerPlan to_sampler_plan(const pybind11::tuple& name_and_settings);

}  // namespace mujigae::bindings
