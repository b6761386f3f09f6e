// Compiled once for each instruction set (instruction_set.hpp).
#include "crc32_loops.hpp"

#include <cstring>

#if defined(__PCLMUL__)
#include <immintrin.h>
#endif

namespace mujigae {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie");

// Without its highest power. As in every state below, the lowest power is in the highest bit.
constexpr std::uint32_t kPolynomial = 0xEDB88320;

constexpr std::uint32_t times_x(std::uint32_t state) { return (state & 1) != 0 ? state >> 1 ^ kPolynomial : state >> 1; }

// --- by tables, eight bytes at a time

// Byte k of eight goes through table 7 - k, so eight bytes cost eight independent look-ups.
struct Tables {
  constexpr Tables() {
    for (std::uint32_t i = 0; i < 256; ++i) {
      of[0][i] = i;
      for (int bit = 0; bit < 8; ++bit) of[0][i] = times_x(of[0][i]);
    }
    for (int t = 1; t < 8; ++t) {
      for (int i = 0; i < 256; ++i) of[t][i] = of[t - 1][i] >> 8 ^ of[0][of[t - 1][i] & 0xFF];
    }
  }
  std::uint32_t of[8][256] = {};
};

constexpr Tables kTables;

std::uint32_t after_by_tables(const std::byte* bytes, std::size_t size, std::uint32_t state) {
  for (; size >= 8; size -= 8, bytes += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
    word ^= state;
    state = 0;
    for (int k = 0; k < 8; ++k) state ^= kTables.of[7 - k][word >> (8 * k) & 0xFF];
  }
  for (; size > 0; --size, ++bytes) state = state >> 8 ^ kTables.of[0][(state ^ static_cast<std::uint32_t>(*bytes)) & 0xFF];
  return state;
}

// --- by multiplications of polynomials, 64 bytes at a time

#if defined(__PCLMUL__)
constexpr std::size_t kBlock = sizeof(__m128i), kNumLanes = 4;

// x^n modulo the polynomial; one bit higher, since a product of two 64-bit polynomials with their lowest power on top has 127 bits.
constexpr std::int64_t power_of_x(int n) {
  std::uint32_t power = 0x80000000;
  for (; n > 0; --n) power = times_x(power);
  return std::int64_t{power} * 2;
}

inline __m128i load(const std::byte* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }

// What may stand so many bits behind a block in its place: the message's remainder stays the same.
template <int kBits>
inline __m128i moved_back(__m128i block) {
  const __m128i powers = _mm_set_epi64x(power_of_x(kBits - 32), power_of_x(kBits + 32));
  return _mm_xor_si128(_mm_clmulepi64_si128(block, powers, 0x00), _mm_clmulepi64_si128(block, powers, 0x11));
}

// Four blocks side by side move over the message; then they become one, whose remainder the tables give.
std::uint32_t after(const std::byte* bytes, std::size_t size, std::uint32_t state) {
  constexpr std::size_t kStep = kNumLanes * kBlock;
  if (size < kStep) return after_by_tables(bytes, size, state);
  __m128i lanes[kNumLanes];
  for (std::size_t lane = 0; lane < kNumLanes; ++lane) lanes[lane] = load(bytes + lane * kBlock);
  lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(static_cast<int>(state)));
  for (bytes += kStep, size -= kStep; size >= kStep; bytes += kStep, size -= kStep) {
    for (std::size_t lane = 0; lane < kNumLanes; ++lane) {
      lanes[lane] = _mm_xor_si128(moved_back<8 * kStep>(lanes[lane]), load(bytes + lane * kBlock));
    }
  }
  __m128i last = lanes[0];
  for (std::size_t lane = 1; lane < kNumLanes; ++lane) last = _mm_xor_si128(moved_back<8 * kBlock>(last), lanes[lane]);
  for (; size >= kBlock; bytes += kBlock, size -= kBlock) last = _mm_xor_si128(moved_back<8 * kBlock>(last), load(bytes));
  std::byte left[kBlock];
  std::memcpy(left, &last, kBlock);
  return after_by_tables(bytes, size, after_by_tables(left, kBlock, 0));
}
#else
std::uint32_t after(const std::byte* bytes, std::size_t size, std::uint32_t state) { return after_by_tables(bytes, size, state); }
#endif

}  // namespace

template <>
const Crc32Loops& crc32_loops<MUJIGAE_SET>() {
  static constexpr Crc32Loops kLoops = {after};
  return kLoops;
}

}  // namespace mujigae
