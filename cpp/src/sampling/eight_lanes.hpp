// Eight doubles at a time, with AVX-512; the same names and the same bits as four_lanes.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace mujigae {
namespace {

using Doubles = double __attribute__((vector_size(64)));
using Words = std::int64_t __attribute__((vector_size(64)));  // a comparison is -1 where it holds

constexpr int kLanes = 8;

inline Doubles load(const double* from) {
  Doubles values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

inline void store(double* to, const Doubles& values) { std::memcpy(to, &values, sizeof values); }

// Columns a and a + 4, b and b + 4 of eight rows, out of the pairs of their numbers in rows 0 and 1, 2 and 3, 4 and 5, 6 and 7.
inline void columns_of(__m512d first, __m512d second, __m512d third, __m512d fourth, Doubles& a, Doubles& a4, Doubles& b, Doubles& b4) {
  constexpr int kEven = 0x88, kOdd = 0xdd;
  const __m512d upper_even = _mm512_shuffle_f64x2(first, second, kEven), lower_even = _mm512_shuffle_f64x2(third, fourth, kEven);
  const __m512d upper_odd = _mm512_shuffle_f64x2(first, second, kOdd), lower_odd = _mm512_shuffle_f64x2(third, fourth, kOdd);
  a = (Doubles)_mm512_shuffle_f64x2(upper_even, lower_even, kEven);
  a4 = (Doubles)_mm512_shuffle_f64x2(upper_even, lower_even, kOdd);
  b = (Doubles)_mm512_shuffle_f64x2(upper_odd, lower_odd, kEven);
  b4 = (Doubles)_mm512_shuffle_f64x2(upper_odd, lower_odd, kOdd);
}

inline void transpose(Doubles (&rows)[8]) {
  const auto low = [&](int i) { return _mm512_unpacklo_pd((__m512d)rows[i], (__m512d)rows[i + 1]); };
  const auto high = [&](int i) { return _mm512_unpackhi_pd((__m512d)rows[i], (__m512d)rows[i + 1]); };
  const __m512d low_0 = low(0), low_2 = low(2), low_4 = low(4), low_6 = low(6);
  const __m512d high_0 = high(0), high_2 = high(2), high_4 = high(4), high_6 = high(6);
  columns_of(low_0, low_2, low_4, low_6, rows[0], rows[4], rows[2], rows[6]);
  columns_of(high_0, high_2, high_4, high_6, rows[1], rows[5], rows[3], rows[7]);
}

// Of numbers without a sign and without NaN.
inline Doubles larger_of(const Doubles& a, const Doubles& b) { return (Doubles)_mm512_max_pd((__m512d)a, (__m512d)b); }
inline Doubles smaller_of(const Doubles& a, const Doubles& b) { return (Doubles)_mm512_min_pd((__m512d)a, (__m512d)b); }

// How many of 16 numbers are at most `limit`.
inline std::int64_t count_at_most(const double* numbers, double limit) {
  const __m512d all = _mm512_set1_pd(limit);
  const unsigned first = _mm512_cmp_pd_mask(_mm512_loadu_pd(numbers), all, _CMP_LE_OQ);
  const unsigned second = _mm512_cmp_pd_mask(_mm512_loadu_pd(numbers + 8), all, _CMP_LE_OQ);
  return __builtin_popcount(first) + __builtin_popcount(second);
}

}  // namespace
}  // namespace mujigae
