// Compiled once for each instruction set (instruction_set.hpp).
#include "frame_codec_loops.hpp"

#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(MUJIGAE_NEON)
#include <arm_neon.h>
#endif

namespace mujigae {
namespace {

constexpr std::int64_t kPieceBytes = 32;

using Piece [[gnu::vector_size(kPieceBytes)]] = unsigned char;

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return b < a ? b : a; }

// --- differences_64: bit i: a[i] differs from b[i]

#if defined(__AVX512BW__)
std::uint64_t differences_64(const std::byte* a, const std::byte* b) {
  return _mm512_cmpneq_epu8_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b));
}
#elif defined(__AVX2__)
std::uint32_t differences_32(const std::byte* a, const std::byte* b) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
  return ~static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, y)));
}

std::uint64_t differences_64(const std::byte* a, const std::byte* b) {
  return differences_32(a, b) | std::uint64_t{differences_32(a + 32, b + 32)} << 32;
}
#elif defined(MUJIGAE_NEON)
// Bit j of byte i / 8 of an eighth: the bits of 64 bytes that are all ones or all zeros are summed in pairs, three times.
std::uint64_t differences_64(const std::byte* a, const std::byte* b) {
  const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  const auto differences_16 = [=](int at) {
    const uint8x16_t x = vld1q_u8(reinterpret_cast<const std::uint8_t*>(a + at));
    const uint8x16_t y = vld1q_u8(reinterpret_cast<const std::uint8_t*>(b + at));
    return vbicq_u8(bits, vceqq_u8(x, y));
  };
  const uint8x16_t low = vpaddq_u8(differences_16(0), differences_16(16)), high = vpaddq_u8(differences_16(32), differences_16(48));
  const uint8x16_t quarters = vpaddq_u8(low, high);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)), 0);
}
#else
std::uint64_t load(const std::byte* from) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

std::uint64_t differences_64(const std::byte* a, const std::byte* b) {
  constexpr std::uint64_t kLow7 = 0x7f7f7f7f7f7f7f7f, kGather = 0x0102040810204080;
  std::uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) {
    const std::uint64_t x = load(a + 8 * i) ^ load(b + 8 * i);
    const std::uint64_t is_nonzero = ((((x & kLow7) + kLow7) | x) & ~kLow7) >> 7;
    bits |= (is_nonzero * kGather >> 56) << (8 * i);
  }
  return bits;
}
#endif

// --- the loops

// Bit i: a[i] differs from b[i]. 64 bytes a word, zeros behind the end.
void differences(const std::byte* a, const std::byte* b, std::int64_t size, std::uint64_t* bits) {
  std::int64_t i = 0;
  for (; i + 64 <= size; i += 64) *bits++ = differences_64(a + i, b + i);
  if (i == size) return;
  std::byte tail[128] = {};
  std::memcpy(tail, a + i, static_cast<std::size_t>(size - i));
  std::memcpy(tail + 64, b + i, static_cast<std::size_t>(size - i));
  *bits = differences_64(tail, tail + 64);
}

// Bit i: five bits from i on are set, in `word` and, from bit 64 on, in `next`.
inline std::uint64_t five_in_a_row(std::uint64_t word, std::uint64_t next) {
  const auto from = [=](int i) { return word >> i | next << (64 - i); };
  return word & from(1) & from(2) & from(3) & from(4);
}

void stops(const std::uint64_t* __restrict differs, const std::uint64_t* __restrict changes, std::int64_t num_words,
           std::uint64_t* __restrict bits) {
  static_assert(kMinKeep == 5 && kMinRun - 1 == 5, "five bytes that need no change, or five that are each like the next");
  for (std::int64_t i = 0; i < num_words; ++i) {
    bits[i] = five_in_a_row(~differs[i], ~differs[i + 1]) | five_in_a_row(~changes[i], ~changes[i + 1]);
  }
}

// kPieceBytes, each as in `values` or each like the first of them, without a branch.
inline void write_piece(std::byte* to, const std::byte* values, bool is_run) {
  Piece copied;
  std::memcpy(&copied, values, sizeof(copied));
  const Piece repeated = Piece{} + static_cast<unsigned char>(values[0]);
  const Piece mask = Piece{} + static_cast<unsigned char>(-static_cast<int>(is_run));
  const Piece piece = (repeated & mask) | (copied & ~mask);
  std::memcpy(to, &piece, sizeof(piece));
}

// Bytes at `at` as they are in `base`, or zeros.
template <bool kFromZeros>
inline void restore(const std::byte* base, std::byte* frame, std::int64_t at, std::int64_t count) {
  if constexpr (kFromZeros) {
    std::memset(frame + at, 0, static_cast<std::size_t>(count));
  } else {
    std::memcpy(frame + at, base + at, static_cast<std::size_t>(count));
  }
}

// `frame` is `base` (or zeros) with the part's tokens applied; false if they are none. Whole pieces are written, and what they cover
// too much is restored with the next token: nothing is read that has just been written, and few branches are hard to foresee.
template <bool kFromZeros>
bool apply_tokens(const FramePart& part, const std::byte* base, std::byte* frame, std::int64_t frame_bytes) {
  const std::byte *values = part.payload, *token = part.end;
  const std::int64_t last_whole_piece = frame_bytes - kPieceBytes;
  std::int64_t at = 0;
  restore<kFromZeros>(base, frame, 0, frame_bytes);
  while (token - values >= 2) {
    token -= 2;
    const auto keep = static_cast<std::int64_t>(token[0]), head = static_cast<std::int64_t>(token[1]);
    const std::int64_t length = head & kMaxLength, behind_piece = at;
    const bool is_run = head > kMaxLength;
    const std::int64_t num_values = is_run ? 1 : length;
    at += length == 0 ? keep * kLongKeep : keep;
    if (length > frame_bytes - at || num_values > token - values) return false;
    if (length <= kPieceBytes && at <= last_whole_piece && part.end - values >= kPieceBytes) {
      restore<kFromZeros>(base, frame, behind_piece, kPieceBytes);
      write_piece(frame + at, values, is_run);
    } else {
      restore<kFromZeros>(base, frame, behind_piece, smaller(kPieceBytes, frame_bytes - behind_piece));
      if (is_run) {
        std::memset(frame + at, static_cast<int>(values[0]), static_cast<std::size_t>(length));
      } else {
        std::memcpy(frame + at, values, static_cast<std::size_t>(length));
      }
    }
    at += length;
    values += num_values;
  }
  restore<kFromZeros>(base, frame, at, smaller(kPieceBytes, frame_bytes - at));
  return token == values;
}

bool apply_tokens(const FramePart& part, const std::byte* base, std::byte* frame, std::int64_t frame_bytes) {
  return base == nullptr ? apply_tokens<true>(part, base, frame, frame_bytes) : apply_tokens<false>(part, base, frame, frame_bytes);
}

inline void xor_row(unsigned char* __restrict to, const unsigned char* __restrict from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<unsigned char>(to[i] ^ from[i]);
}

// Each row of `to`, from the second on, is XORed with the row above it in `from`, which may be `to`.
void xor_rows(std::byte* to, const std::byte* from, std::int64_t row_bytes, std::int64_t frame_bytes) {
  for (std::int64_t at = row_bytes; at < frame_bytes; at += row_bytes) {
    xor_row(reinterpret_cast<unsigned char*>(to + at), reinterpret_cast<const unsigned char*>(from + at - row_bytes),
            smaller(row_bytes, frame_bytes - at));
  }
}

}  // namespace

template <>
const CodecLoops& codec_loops<MUJIGAE_SET>() {
  static constexpr CodecLoops kLoops = {differences, stops, apply_tokens, xor_rows};
  return kLoops;
}

}  // namespace mujigae
