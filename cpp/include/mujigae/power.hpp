// base^exponent for priorities and importance weights: the same bits on every machine.
//
// libm's pow differs between versions and processors; this one uses additions, multiplications and one division only, in
// a fixed order, and is compiled without contraction. The logarithm carries about 100 bits, so the error stays near one
// unit in the last place (tests/core/test_power.py compares it with exact arithmetic).
#pragma once

namespace mujigae {

// base >= 0, exponent finite. power(x, 0) = 1, power(x, 1) = x, power(0, y > 0) = 0, power(0, y < 0) = infinity.
double power(double base, double exponent);

}  // namespace mujigae
