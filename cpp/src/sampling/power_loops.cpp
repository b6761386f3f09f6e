// base^exponent, four at a time; compiled once for each instruction set (instruction_set.hpp).
#include "power_loops.hpp"

#include <cfloat>

#include "four_lanes.hpp"

namespace mujigae {
namespace {

struct Pair {  // an unevaluated sum high + low, |low| <= ulp(high) / 2
  Doubles high, low;
};

inline Doubles all(double x) { return Doubles{x, x, x, x}; }

inline Pair two_sum(const Doubles& a, const Doubles& b) {
  const Doubles sum = a + b;
  const Doubles b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

inline Pair split(const Doubles& a) {  // Dekker: two halves of 26 bits
  const Doubles scaled = 134217729.0 * a;
  const Doubles high = scaled - (scaled - a);
  return {high, a - high};
}

inline Pair two_product(const Doubles& a, const Doubles& b) {
  const Doubles product = a * b;
  const Pair x = split(a), y = split(b);
  return {product, ((x.high * y.high - product) + x.high * y.low + x.low * y.high) + x.low * y.low};
}

// c[0] + c[1] x + ... by two Horner schemes in x^2, which run side by side.
template <std::size_t kCount>
inline Doubles polynomial(const double (&c)[kCount], const Doubles& x) {
  const Doubles square = x * x;
  Doubles even = all(c[(kCount - 1) / 2 * 2]), odd = all(c[(kCount - 2) / 2 * 2 + 1]);
  for (std::size_t i = (kCount - 1) / 2; i > 0; --i) even = even * square + c[2 * i - 2];
  for (std::size_t i = (kCount - 2) / 2; i > 0; --i) odd = odd * square + c[2 * i - 1];
  return even + odd * x;
}

// Whole numbers below 2^51: adding 1.5 x 2^52 leaves them in the low bits, and rounds what is not whole.
constexpr double kRounder = 0x1.8p52;
inline Doubles to_doubles(const Words& whole) { return (Doubles)(whole + (Words)all(kRounder)) - kRounder; }
inline Words to_words(const Doubles& whole) { return (Words)(whole + kRounder) - (Words)all(kRounder); }

inline Doubles two_to(const Words& n) { return (Doubles)((n + 1023) << 52); }

// log2(x) for positive finite x: x = 2^e m with m in [sqrt(1/2), sqrt(2)), log2(m) = 2 atanh(s) / ln 2, s = (m - 1) / (m + 1).
inline Pair log2_pair(const Doubles& x) {
  const Words is_subnormal = (Words)(x < DBL_MIN);
  const Words bits = (Words)(is_subnormal ? x * 0x1p54 : x);
  const Doubles mantissa = (Doubles)((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000);
  const Words is_large = (Words)(mantissa > 1.4142135623730951);
  const Doubles m = is_large ? mantissa * 0.5 : mantissa;
  const Doubles exponent = to_doubles((bits >> 52) - 1023 - (is_subnormal & 54) - is_large);
  const Pair denominator = two_sum(m, all(1.0));
  const Doubles s = (m - 1.0) / denominator.high;
  const Pair back = two_product(s, denominator.high);
  const Doubles s_low = (((m - 1.0) - back.high) - back.low - s * denominator.low) / denominator.high;

  constexpr double kTwoOverLn2High = 2.8853900817779268, kTwoOverLn2Low = 4.0710547481862066e-17;
  static constexpr double kSeries[] = {1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11, 1.0 / 13,
                                       1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23};
  const Pair leading = two_product(s, all(kTwoOverLn2High));
  const Doubles z = s * s;
  const Doubles tail = s * z * polynomial(kSeries, z) * kTwoOverLn2High;
  const Pair fraction = two_sum(leading.high, tail);
  const Pair sum = two_sum(exponent, fraction.high);
  return two_sum(sum.high, sum.low + (fraction.low + leading.low + s * kTwoOverLn2Low + s_low * kTwoOverLn2High));
}

// exponent is neither 0 nor 1. Each lane is computed as if it were ordinary; those that are not are mended at the end.
inline Doubles power_of(const Doubles& base, double exponent) {
  static constexpr double kSeries[] = {  // ln(2)^k / k!
                                       1.0,
                                       0x1.62e42fefa39efp-1,
                                       0x1.ebfbdff82c58fp-3,
                                       0x1.c6b08d704a0c0p-5,
                                       0x1.3b2ab6fba4e77p-7,
                                       0x1.5d87fe78a6731p-10,
                                       0x1.430912f86c787p-13,
                                       0x1.ffcbfc588b0c7p-17,
                                       0x1.62c0223a5c824p-20,
                                       0x1.b5253d395e7c4p-24,
                                       0x1.e4cf5158b8ecap-28,
                                       0x1.e8cac7351bb25p-32,
                                       0x1.c3bd650fc2986p-36,
                                       0x1.816193166d0f9p-40,
                                       0x1.314964d5878a9p-44};
  constexpr double kInfinity = __builtin_huge_val();
  const Pair logarithm = log2_pair(base);
  const Doubles rough = exponent * logarithm.high;
  const Pair product = two_product(all(exponent), logarithm.high);
  const Doubles whole = (product.high + kRounder) - kRounder;
  const Doubles fraction = (product.high - whole) + (product.low + exponent * logarithm.low);
  const Words n = to_words(whole);
  const Words half = ((n + 4096) >> 1) - 2048;  // two factors, so that subnormal results are rounded once
  Doubles power = polynomial(kSeries, fraction) * two_to(half) * two_to(n - half);
  power = rough > 1024.5 ? all(kInfinity) : power;
  power = rough < -1080.0 ? all(0.0) : power;
  power = base == 1.0 ? base : power;
  power = base == 0.0 ? all(exponent > 0.0 ? 0.0 : kInfinity) : power;
  return base == kInfinity ? all(exponent > 0.0 ? kInfinity : 0.0) : power;
}

void powers(const double* base, double exponent, double* out, std::size_t count) {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) store(out + i, power_of(load(base + i), exponent));
  if (i == count) return;
  double rest[4] = {1.0, 1.0, 1.0, 1.0};
  std::memcpy(rest, base + i, (count - i) * sizeof(double));
  store(rest, power_of(load(rest), exponent));
  std::memcpy(out + i, rest, (count - i) * sizeof(double));
}

}  // namespace

template <>
const PowerLoops& power_loops<MUJIGAE_SET>() {
  static constexpr PowerLoops kLoops = {powers};
  return kLoops;
}

}  // namespace mujigae
