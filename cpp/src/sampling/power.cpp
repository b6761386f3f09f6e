#include "mujigae/sampling/power.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "mujigae/instruction_set.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mujigae {
namespace {

namespace scalar {
#include "four_lanes.inl"
#include "power_kernel.inl"
}  // namespace scalar

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,popcnt")
namespace avx2 {
#include "four_lanes.inl"
#include "power_kernel.inl"
}  // namespace avx2
#pragma GCC pop_options
#endif

using Powers = void (*)(const double*, double, double*, std::size_t);

Powers choose_powers() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  if (active_instruction_set() != InstructionSet::kScalar) return avx2::powers;  // AVX-512 has AVX2
#endif
  return scalar::powers;
}

}  // namespace

void power(std::span<const double> base, double exponent, std::span<double> out) {
  static const Powers powers = choose_powers();
  if (exponent == 0.0) {
    std::fill(out.begin(), out.end(), 1.0);
  } else if (exponent == 1.0) {
    std::copy(base.begin(), base.end(), out.begin());
  } else {
    powers(base.data(), exponent, out.data(), base.size());
  }
}

double power(double base, double exponent) {
  power(std::span(&base, 1), exponent, std::span(&base, 1));
  return base;
}

}  // namespace mujigae
