// The loops of the codec, compiled once for each instruction set (frame_codec.cpp includes it within a namespace and a target, which
// brings differences_64).

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
      restore<kFromZeros>(base, frame, behind_piece, std::min(kPieceBytes, frame_bytes - behind_piece));
      if (is_run) {
        std::memset(frame + at, static_cast<int>(values[0]), static_cast<std::size_t>(length));
      } else {
        std::memcpy(frame + at, values, static_cast<std::size_t>(length));
      }
    }
    at += length;
    values += num_values;
  }
  restore<kFromZeros>(base, frame, at, std::min(kPieceBytes, frame_bytes - at));
  return token == values;
}

bool apply_tokens(const FramePart& part, const std::byte* base, std::byte* frame, std::int64_t frame_bytes) {
  return base == nullptr ? apply_tokens<true>(part, base, frame, frame_bytes) : apply_tokens<false>(part, base, frame, frame_bytes);
}

inline void xor_row(std::byte* __restrict to, const std::byte* __restrict from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] ^= from[i];
}

// Each row of `to`, from the second on, is XORed with the row above it in `from`, which may be `to`.
void xor_rows(std::byte* to, const std::byte* from, std::int64_t row_bytes, std::int64_t frame_bytes) {
  for (std::int64_t at = row_bytes; at < frame_bytes; at += row_bytes) {
    xor_row(to + at, from + at - row_bytes, std::min(row_bytes, frame_bytes - at));
  }
}

constexpr Loops kLoops = {differences, apply_tokens, xor_rows};
