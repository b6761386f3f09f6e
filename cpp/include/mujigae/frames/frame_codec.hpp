// One frame in few bytes: by what differs from another frame, or from its own rows, or as it is. Lossless, for any bytes.
//
//   part     head  payload                           head: LEB128 of the payload's bytes times four, plus the form
//   form     raw       the frame itself
//            rows      tokens that change zeros; then every row is XORed with the row above it
//            base      tokens that change another frame, the base
//   token    keep  length                            one byte each: leave `keep` bytes as they are, then write
//            length 1 to 127: so many values;  129 to 255: one value, length - 128 times
//            length 0: nothing, and `keep` counts 32 times
//   payload  values of token 0, values of token 1, ... | ... token 1, token 0       what is behind the last token stays
//
// Decoding is safe for any bytes whatever: it stays within the memory that it is given and says when they are no part.
// O(bytes of a frame) to encode; O(bytes of a frame / 64 + tokens) to decode. Every instruction set gives the same bytes.
// Threads: an encoder belongs to one at a time; decoding has no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mujigae {

enum class PartForm : std::uint8_t { kRaw, kRows, kBase };

// The part that some bytes begin with; only its head is looked at.
struct FramePart {
  static FramePart at(std::span<const std::byte> bytes);

  bool is_valid() const { return head != nullptr; }
  bool needs_base() const { return form == PartForm::kBase; }
  std::span<const std::byte> bytes() const { return {head, end}; }

  const std::byte* head = nullptr;  // nullptr: the bytes do not begin with a part
  const std::byte* payload = nullptr;
  const std::byte* end = nullptr;
  PartForm form = PartForm::kRaw;
};

// The frame that was encoded; `base` is apart from it, and looked at only if the part needs one. False for bytes that no encoder
// writes; the frame then holds anything.
bool decode(const FramePart& part, const std::byte* base, std::int64_t row_bytes, std::span<std::byte> frame);

class FrameEncoder {
 public:
  FrameEncoder(std::int64_t frame_bytes, std::int64_t row_bytes);

  static std::int64_t max_part_bytes(std::int64_t frame_bytes) { return frame_bytes + kMaxHeadBytes; }

  // The part of `frame`, valid until the next call. Without a base (nullptr) it needs none; with one it needs it only if it is then
  // less than 1/8 of the frame, or 7/8 of what it is without.
  std::span<const std::byte> encode(const std::byte* frame, const std::byte* base);

  std::int64_t nbytes() const;

 private:
  static constexpr std::int64_t kMaxHeadBytes = 10;

  // Room for a part. The payload begins at a fixed place and the head ends there.
  class Part {
   public:
    explicit Part(std::int64_t frame_bytes);
    bool put_tokens(const FrameEncoder& encoder, const std::byte* frame, std::int64_t limit);
    void put_raw(const std::byte* frame, std::int64_t frame_bytes);
    void put_head(PartForm form);
    std::span<const std::byte> bytes() const { return std::span(bytes_).subspan(begin_, end_ - begin_); }
    std::int64_t size() const { return static_cast<std::int64_t>(end_ - begin_); }
    std::int64_t nbytes() const { return static_cast<std::int64_t>(bytes_.size() + tokens_.size()); }

   private:
    std::int64_t skip(std::int64_t keep);
    void put_token(std::int64_t keep, std::int64_t length, bool is_run);
    std::int64_t payload_bytes() const { return static_cast<std::int64_t>(end_ - kMaxHeadBytes + num_token_bytes_); }

    std::vector<std::byte> bytes_, tokens_;  // tokens: from the back, until the values are complete
    std::size_t begin_ = 0, end_ = 0, num_token_bytes_ = 0;
  };

  bool encode_tokens(const std::byte* values, const std::byte* from, std::int64_t limit, PartForm form, Part& part);
  void encode_alone(const std::byte* frame);
  std::int64_t next(const std::vector<std::uint64_t>& bits, std::int64_t position) const;

  std::int64_t frame_bytes_, row_bytes_;
  std::vector<std::byte> zeros_, rows_;  // rows: of the frame, each XORed with the one above
  // A bit for each byte: not as `from`; not as the next byte; a literal ends there. The first two have one word more.
  std::vector<std::uint64_t> differs_, changes_, stops_;
  Part alone_, based_;
};

}  // namespace mujigae
