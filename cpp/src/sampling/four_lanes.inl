// Four doubles at a time, in the vectors that GCC and Clang know on every processor. A lane computes what a scalar would, so
// all instruction sets give the same bits. Compiled once for each of them: include it within a namespace and a target.

using Doubles = double __attribute__((vector_size(32)));
using Words = std::int64_t __attribute__((vector_size(32)));  // a comparison is -1 where it holds

inline Doubles load(const double* from) {
  Doubles values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

inline void store(double* to, const Doubles& values) { std::memcpy(to, &values, sizeof values); }

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

inline Doubles larger_of(const Doubles& a, const Doubles& b) {
#ifdef __AVX__
  return __builtin_ia32_maxpd256(a, b);
#else
  return a > b ? a : b;
#endif
}

inline Doubles smaller_of(const Doubles& a, const Doubles& b) {
#ifdef __AVX__
  return __builtin_ia32_minpd256(a, b);
#else
  return a < b ? a : b;
#endif
}

// How many of 16 numbers are at most `limit`.
inline std::int64_t count_at_most(const double* numbers, double limit) {
  const Doubles all = {limit, limit, limit, limit};
  const Words a = (Words)(load(numbers) <= all), b = (Words)(load(numbers + 4) <= all);
  const Words c = (Words)(load(numbers + 8) <= all), d = (Words)(load(numbers + 12) <= all);
#ifdef __AVX2__
  const __m256i halves = _mm256_packs_epi32((__m256i)a, (__m256i)b), others = _mm256_packs_epi32((__m256i)c, (__m256i)d);
  const int bits = _mm256_movemask_epi8(_mm256_packs_epi16(halves, others));  // two for each number
  return __builtin_popcount(static_cast<unsigned>(bits)) / 2;
#else
  const Words sum = a + b + c + d;
  return -(sum[0] + sum[1] + sum[2] + sum[3]);
#endif
}
