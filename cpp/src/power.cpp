#include "mujigae/power.hpp"

#include <bit>
#include <cstdint>
#include <limits>

namespace mujigae {
namespace {

struct Pair {  // an unevaluated sum high + low, |low| <= ulp(high) / 2
  double high, low;
};

Pair two_sum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

Pair split(double a) {  // Dekker: two halves of 26 bits
  const double scaled = 134217729.0 * a;
  const double high = scaled - (scaled - a);
  return {high, a - high};
}

Pair two_product(double a, double b) {
  const double product = a * b;
  const Pair x = split(a), y = split(b);
  return {product, ((x.high * y.high - product) + x.high * y.low + x.low * y.high) + x.low * y.low};
}

// 2^n for any n that does not overflow, in two factors so that the subnormal range is reached with one rounding.
double scale(double x, int n) {
  const int half = n / 2;
  const auto two_to = [](int k) { return std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52); };
  return x * two_to(half) * two_to(n - half);
}

// log2(x) for positive finite x: x = 2^e m with m in [sqrt(1/2), sqrt(2)), log2(m) = 2 atanh(s) / ln 2, s = (m - 1) / (m + 1).
Pair log2_pair(double x) {
  int exponent = 0;
  if (x < std::numeric_limits<double>::min()) {
    x *= 0x1p54;
    exponent = -54;
  }
  const auto bits = std::bit_cast<std::uint64_t>(x);
  exponent += static_cast<int>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const Pair denominator = two_sum(m, 1.0);
  const double s = (m - 1.0) / denominator.high;
  const Pair back = two_product(s, denominator.high);
  const double s_low = (((m - 1.0) - back.high) - back.low - s * denominator.low) / denominator.high;

  constexpr double kTwoOverLn2High = 2.8853900817779268, kTwoOverLn2Low = 4.0710547481862066e-17;
  const Pair leading = two_product(s, kTwoOverLn2High);
  const double z = s * s;
  double series = 0.0;
  for (int k = 23; k >= 3; k -= 2) series = series * z + 1.0 / k;
  const double tail = s * z * series * kTwoOverLn2High;
  const Pair fraction = two_sum(leading.high, tail);
  const Pair sum = two_sum(exponent, fraction.high);
  return two_sum(sum.high, sum.low + (fraction.low + leading.low + s * kTwoOverLn2Low + s_low * kTwoOverLn2High));
}

double exp2_fraction(double f) {  // 2^f for |f| <= 0.51, by the Taylor series of exp(f ln 2)
  const double x = f * 0.6931471805599453;
  double series = 1.0;
  for (int k = 14; k >= 1; --k) series = 1.0 + series * x / k;
  return series;
}

}  // namespace

double power(double base, double exponent) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (exponent == 0.0 || base == 1.0) return 1.0;
  if (exponent == 1.0) return base;
  if (base == 0.0) return exponent > 0.0 ? 0.0 : kInfinity;
  if (base == kInfinity) return exponent > 0.0 ? kInfinity : 0.0;

  const Pair logarithm = log2_pair(base);
  const double rough = exponent * logarithm.high;
  if (rough > 1024.5) return kInfinity;
  if (rough < -1080.0) return 0.0;
  const Pair product = two_product(exponent, logarithm.high);
  constexpr double kRounder = 0x1.8p52;  // adding and subtracting it rounds to the nearest integer
  const double whole = (product.high + kRounder) - kRounder;
  const double fraction = (product.high - whole) + (product.low + exponent * logarithm.low);
  return scale(exp2_fraction(fraction), static_cast<int>(whole));
}

}  // namespace mujigae
