#include "mujigae/sampling/sampler.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "mujigae/check.hpp"
#include "mujigae/sampling/power.hpp"

namespace mujigae {

void check_exponent(const char* argument, double value) {
  if (!(value >= 0.0 && std::isfinite(value))) fail_value(argument, ": expected a finite number of at least 0, got ", value);
}

double checked_beta(const Sampler& sampler, std::optional<double> beta) {
  if (!sampler.has_priorities()) return 0.0;
  if (beta) check_exponent("beta", *beta);
  return beta.value_or(sampler.beta());
}

void check_has_rows(const RowRing& rows, const Span& span) {
  if (rows.num_ready(span) == 0) fail_value("sample: expected at least one row whose n-step window is complete, got none");
}

void weigh(std::span<const double> masses, double beta, std::span<float> weights) {
  if (beta == 0.0) return std::fill(weights.begin(), weights.end(), 1.0F);
  double smallest = std::numeric_limits<double>::infinity();  // of the positive ones: a row of mass 0 can only be gathered by its key
  for (const double mass : masses) smallest = mass > 0.0 ? std::min(smallest, mass) : smallest;
  std::array<double, 64> ratios;
  for (std::size_t begin = 0; begin < masses.size(); begin += ratios.size()) {
    const std::span group = std::span(ratios).first(std::min(ratios.size(), masses.size() - begin));
    for (std::size_t i = 0; i < group.size(); ++i) group[i] = masses[begin + i] > 0.0 ? smallest / masses[begin + i] : 1.0;
    power(group, beta, group);
    for (std::size_t i = 0; i < group.size(); ++i) weights[begin + i] = static_cast<float>(group[i]);
  }
}

}  // namespace mujigae
