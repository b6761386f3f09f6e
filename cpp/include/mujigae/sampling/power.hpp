// base^exponent for priorities and importance weights: the same bits on every machine.
//
// libm's pow differs between versions and processors; this one uses additions, multiplications and divisions only, in a fixed
// order, and is compiled without contraction. Four are computed abreast, and a lane does what it would do if it were the only one: every
// instruction set and every place in a batch give the same bits. The relative error is at most 2^-51 + |log2(result)| 2^-57: a
// few units in the last place for every result between 10^-40 and 10^40 (tests/core/test_power.py, tests/cpp/test_power.cpp).
#pragma once

#include <span>

namespace mujigae {

// base >= 0, exponent finite. power(x, 0) = 1, power(x, 1) = x, power(0, y > 0) = 0, power(0, y < 0) = infinity.
double power(double base, double exponent);

// out[i] = power(base[i], exponent); out may be base.
void power(std::span<const double> base, double exponent, std::span<double> out);

}  // namespace mujigae
