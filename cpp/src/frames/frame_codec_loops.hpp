// The loops of the codec, one table of them for each instruction set: frame_codec_loops.cpp, compiled once for each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mujigae/frames/frame_codec.hpp"
#include "mujigae/instruction_set.hpp"

namespace mujigae {

constexpr std::int64_t kMaxLength = 127, kLongKeep = 32;  // of a token
constexpr int kMinKeep = 5, kMinRun = 6;  // between literals: fewer would save bytes and cost time

struct CodecLoops {
  // Bit i: a[i] differs from b[i]. 64 bytes a word, zeros behind the end.
  void (*differences)(const std::byte* a, const std::byte* b, std::int64_t size, std::uint64_t* bits);
  // Bit i: a literal ends at byte i, as kMinKeep bytes need no change from there on, or a run of kMinRun begins. `differs` and
  // `changes` have one word more, which says how it goes on behind the end.
  void (*stops)(const std::uint64_t* differs, const std::uint64_t* changes, std::int64_t num_words, std::uint64_t* bits);
  // `frame` is `base` (nullptr: zeros) with the part's tokens applied; false if they are none.
  bool (*apply_tokens)(const FramePart& part, const std::byte* base, std::byte* frame, std::int64_t frame_bytes);
  // Each row of `to`, from the second on, is XORed with the row above it in `from`, which may be `to`.
  void (*xor_rows)(std::byte* to, const std::byte* from, std::int64_t row_bytes, std::int64_t frame_bytes);
};

template <InstructionSet kSet>
const CodecLoops& codec_loops();

}  // namespace mujigae
