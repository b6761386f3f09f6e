// Eight doubles at a time, with AVX-512; the same names and the same bits as
// four_lanes.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace mujigae {
namespace {

using Doubles = double __attribute__((vector_size(64)));
using Words = std::int64_t __attribute__((vector_size(64))); // a comparison is -1 where it holds

constexpr int kLanes = 8;

inline Doubles load(const double* from) {
  Doubles values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

inline void store(double* to, const Doubles& values) { std::memcpy(to, &values, sizeof values); }

// Columns a and a + 4, b and b + 4 of eight rows, out of the pairs of their
// numbers in rows 0 and 1, 2 and 3, 4 and 5, 6 and 7.
inline void columns_of(const Doubles (&pairs)[4], Doubles& a, Doubles& a4, Doubles& b, Doubles& b4) {
  const auto even = [](const Doubles& x, const Doubles& y) { return __builtin_shufflevector(x, y, 0, 1, 4, 5, 8, 9, 12, 13); };
  const auto odd = [](const Doubles& x, const Doubles& y) { return __builtin_shufflevector(x, y, 2, 3, 6, 7, 10, 11, 14, 15); };
  const Doubles upper_even = even(pairs[0], pairs[1]), lower_even = even(pairs[2], pairs[3]);
  const Doubles upper_odd = odd(pairs[0], pairs[1]), lower_odd = odd(pairs[2], pairs[3]);
  a = even(upper_even, lower_even);
  a4 = odd(upper_even, lower_even);
  b = even(upper_odd, lower_odd);
  b4 = odd(upper_odd, lower_odd);
}

inline void transpose(Doubles (&rows)[8]) {
  Doubles low[4], high[4];
  for (int i = 0; i < 4; ++i) {
    low[i] = __builtin_shufflevector(rows[2 * i], rows[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    high[i] = __builtin_shufflevector(rows[2 * i], rows[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  columns_of(low, rows[0], rows[4], rows[2], rows[6]);
  columns_of(high, rows[1], rows[5], rows[3], rows[7]);
}

// Of numbers without a sign and without NaN.
inline Doubles larger_of(const Doubles& a, const Doubles& b) { return a > b ? a : b; }
inline Doubles smaller_of(const Doubles& a, const Doubles& b) { return a < b ? a : b; }

// Counts the lanes' values that are at most their limits.
inline void count_at_most(const Doubles& values, const Doubles& limits, Words& counts) {
  const __mmask8 is_one = _mm512_cmp_pd_mask(values, limits, _CMP_LE_OQ);
  counts = (Words)_mm512_mask_add_epi64((__m512i)counts, is_one, (__m512i)counts, _mm512_set1_epi64(1));
}

// How many of 16 numbers are at most `limit`.
inline std::int64_t count_at_most(const double* numbers, double limit) {
  const __m512d all = _mm512_set1_pd(limit);
  const __mmask8 first = _mm512_cmp_pd_mask(_mm512_loadu_pd(numbers), all, _CMP_LE_OQ);
  const __mmask8 second = _mm512_cmp_pd_mask(_mm512_loadu_pd(numbers + 8), all, _CMP_LE_OQ);
  return __builtin_popcount(_mm512_kunpackb(second, first));
}

} // namespace
} // namespace mujigae
