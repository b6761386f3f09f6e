// Four doubles at a time, in the vectors that GCC and Clang know on every processor. A lane computes what a scalar would, so
// all instruction sets give the same bits. For files that are compiled once for each instruction set (instruction_set.hpp).
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(MUJIGAE_NEON)
#include <arm_neon.h>
#endif

namespace mujigae {
namespace {

using Doubles = double __attribute__((vector_size(32)));
using Words = std::int64_t __attribute__((vector_size(32)));  // a comparison is -1 where it holds

constexpr int kLanes = 4;

inline Doubles load(const double* from) {
  Doubles values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

inline void store(double* to, const Doubles& values) { std::memcpy(to, &values, sizeof values); }

#if defined(MUJIGAE_NEON)
struct Halves {
  float64x2_t low, high;
};

inline Halves halves_of(const Doubles& values) { return __builtin_bit_cast(Halves, values); }
inline Doubles joined(float64x2_t low, float64x2_t high) { return __builtin_bit_cast(Doubles, Halves{low, high}); }
#endif

#if defined(MUJIGAE_NEON)
inline void transpose(Doubles (&rows)[4]) {
  const Halves a = halves_of(rows[0]), b = halves_of(rows[1]), c = halves_of(rows[2]), d = halves_of(rows[3]);
  rows[0] = joined(vzip1q_f64(a.low, b.low), vzip1q_f64(c.low, d.low));
  rows[1] = joined(vzip2q_f64(a.low, b.low), vzip2q_f64(c.low, d.low));
  rows[2] = joined(vzip1q_f64(a.high, b.high), vzip1q_f64(c.high, d.high));
  rows[3] = joined(vzip2q_f64(a.high, b.high), vzip2q_f64(c.high, d.high));
}
#else
inline void transpose(Doubles (&rows)[4]) {
  const Doubles a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 2, 6);
  const Doubles b = __builtin_shufflevector(rows[0], rows[1], 1, 5, 3, 7);
  const Doubles c = __builtin_shufflevector(rows[2], rows[3], 0, 4, 2, 6);
  const Doubles d = __builtin_shufflevector(rows[2], rows[3], 1, 5, 3, 7);
  rows[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  rows[1] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  rows[2] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  rows[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}
#endif

// Of numbers without a sign and without NaN: there every processor's instruction gives the same.
inline Doubles larger_of(const Doubles& a, const Doubles& b) {
#if defined(__AVX2__)
  return _mm256_max_pd(a, b);
#elif defined(MUJIGAE_NEON)
  const Halves x = halves_of(a), y = halves_of(b);
  return joined(vmaxq_f64(x.low, y.low), vmaxq_f64(x.high, y.high));
#else
  return a > b ? a : b;
#endif
}

inline Doubles smaller_of(const Doubles& a, const Doubles& b) {
#if defined(__AVX2__)
  return _mm256_min_pd(a, b);
#elif defined(MUJIGAE_NEON)
  const Halves x = halves_of(a), y = halves_of(b);
  return joined(vminq_f64(x.low, y.low), vminq_f64(x.high, y.high));
#else
  return a < b ? a : b;
#endif
}

// Counts the lanes' values that are at most their limits.
inline void count_at_most(const Doubles& values, const Doubles& limits, Words& counts) { counts -= (Words)(values <= limits); }

// How many of 16 numbers are at most `limit`.
inline std::int64_t count_at_most(const double* numbers, double limit) {
#if defined(MUJIGAE_NEON)
  const float64x2_t all = vdupq_n_f64(limit);
  uint64x2_t sum = vdupq_n_u64(0);
  for (int i = 0; i < 16; i += 2) sum = vaddq_u64(sum, vcleq_f64(vld1q_f64(numbers + i), all));
  return -static_cast<std::int64_t>(vaddvq_u64(sum));
#else
  const Doubles all = {limit, limit, limit, limit};
  const Words a = (Words)(load(numbers) <= all), b = (Words)(load(numbers + 4) <= all);
  const Words c = (Words)(load(numbers + 8) <= all), d = (Words)(load(numbers + 12) <= all);
#if defined(__AVX2__)
  const __m256i halves = _mm256_packs_epi32((__m256i)a, (__m256i)b), others = _mm256_packs_epi32((__m256i)c, (__m256i)d);
  const int bits = _mm256_movemask_epi8(_mm256_packs_epi16(halves, others));  // two for each number
  return __builtin_popcount(static_cast<unsigned>(bits)) / 2;
#else
  const Words sum = a + b + c + d;
  return -(sum[0] + sum[1] + sum[2] + sum[3]);
#endif
#endif
}

}  // namespace
}  // namespace mujigae
