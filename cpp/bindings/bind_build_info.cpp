#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "mujigae/instruction_set.hpp"
#include "mujigae/sampling/power.hpp"

namespace mujigae::bindings {
namespace {

py::dict build_info() {
  std::vector<std::string> compiled;
  for (const InstructionSet set : compiled_instruction_sets()) compiled.emplace_back(name(set));
  py::dict info;
  info["version"] = MUJIGAE_VERSION;
  info["compiler"] = __VERSION__;
  info["instruction_sets"] = compiled;
  info["active_instruction_set"] = name(active_instruction_set());
  return info;
}

py::array_t<double> power_of(const py::array_t<double, py::array::c_style | py::array::forcecast>& base, double exponent) {
  py::array_t<double> out(Shape(base.shape(), base.shape() + base.ndim()));
  const auto count = static_cast<std::size_t>(base.size());
  power({base.data(), count}, exponent, {out.mutable_data(), count});
  return out;
}

}  // namespace

void bind_build_info(py::module_& m) {
  m.def("build_info", &build_info,
        "What this build is: version, compiler, instruction sets compiled in, and the one in use (the environment variable "
        "MUJIGAE_INSTRUCTION_SET forces one; all give the same bits).");
  m.def("power", &power_of, py::arg("base"), py::arg("exponent"),
        "base ** exponent for non-negative float64, elementwise: the routine behind priorities and weights, with the same "
        "bits on every machine.");
}

}  // namespace mujigae::bindings
