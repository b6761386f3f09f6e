#include "mujigae/sampling/power.hpp"

#include <algorithm>

#include "mujigae/instruction_set.hpp"
#include "power_loops.hpp"

namespace mujigae {

void power(std::span<const double> base, double exponent, std::span<double> out) {
  static const PowerLoops& loops = of_active_set([]<InstructionSet kSet>() -> const PowerLoops& { return power_loops<kSet>(); });
  if (exponent == 0.0) {
    std::fill(out.begin(), out.end(), 1.0);
  } else if (exponent == 1.0) {
    std::copy(base.begin(), base.end(), out.begin());
  } else {
    loops.powers(base.data(), exponent, out.data(), base.size());
  }
}

double power(double base, double exponent) {
  power(std::span(&base, 1), exponent, std::span(&base, 1));
  return base;
}

}  // namespace mujigae
