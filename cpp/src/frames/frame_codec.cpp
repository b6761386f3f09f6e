#include "mujigae/frames/frame_codec.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "mujigae/instruction_set.hpp"
#include "frame_codec_loops.hpp"

namespace mujigae {
namespace {

static_assert(std::endian::native == std::endian::little, "words are compared as little-endian");

constexpr std::int64_t kMaxKeep = 255;
constexpr std::byte kIsRun{128};

const CodecLoops& loops() {
  static const CodecLoops& chosen = of_active_set([]<InstructionSet kSet>() -> const CodecLoops& { return codec_loops<kSet>(); });
  return chosen;
}

std::size_t num_words(std::int64_t num_bits) { return static_cast<std::size_t>((num_bits + 63) / 64); }

}  // namespace

// --- Decoding

FramePart FramePart::at(std::span<const std::byte> bytes) {
  FramePart part;
  std::uint64_t head = 0;
  std::size_t i = 0;
  for (int shift = 0;; shift += 7, ++i) {
    if (i == bytes.size() || shift > 56) return part;
    head |= (static_cast<std::uint64_t>(bytes[i]) & 127) << shift;
    if ((bytes[i] & std::byte{128}) == std::byte{0}) break;
  }
  const std::uint64_t payload_bytes = head >> 2, form = head & 3;
  if (payload_bytes > bytes.size() - ++i || form > static_cast<std::uint64_t>(PartForm::kBase)) return part;
  part.head = bytes.data();
  part.payload = bytes.data() + i;
  part.end = part.payload + payload_bytes;
  part.form = static_cast<PartForm>(form);
  return part;
}

bool decode(const FramePart& part, const std::byte* base, std::int64_t row_bytes, std::span<std::byte> frame) {
  if (!part.is_valid() || (part.needs_base() && base == nullptr)) return false;
  const auto frame_bytes = static_cast<std::int64_t>(frame.size());
  if (part.form == PartForm::kRaw) {
    if (part.end - part.payload != frame_bytes) return false;
    std::memcpy(frame.data(), part.payload, frame.size());
    return true;
  }
  if (!loops().apply_tokens(part, part.needs_base() ? base : nullptr, frame.data(), frame_bytes)) return false;
  if (!part.needs_base()) loops().xor_rows(frame.data(), frame.data(), row_bytes, frame_bytes);
  return true;
}

// --- Encoding

FrameEncoder::FrameEncoder(std::int64_t frame_bytes, std::int64_t row_bytes)
    : frame_bytes_(frame_bytes),
      row_bytes_(row_bytes),
      zeros_(static_cast<std::size_t>(frame_bytes)),
      rows_(static_cast<std::size_t>(frame_bytes)),
      differs_(num_words(frame_bytes) + 1),
      changes_(differs_.size()),
      stops_(differs_.size() - 1),
      alone_(frame_bytes),
      based_(frame_bytes) {
  changes_.back() = ~std::uint64_t{0};  // no run and no literal goes on behind the frame
}

std::span<const std::byte> FrameEncoder::encode(const std::byte* frame, const std::byte* base) {
  if (base != nullptr && encode_tokens(frame, base, frame_bytes_, PartForm::kBase, based_)) {
    if (based_.size() < frame_bytes_ / 8) return based_.bytes();
    encode_alone(frame);
    if (based_.size() * 8 < alone_.size() * 7) return based_.bytes();
    return alone_.bytes();
  }
  encode_alone(frame);
  return alone_.bytes();
}

void FrameEncoder::encode_alone(const std::byte* frame) {
  std::memcpy(rows_.data(), frame, rows_.size());
  loops().xor_rows(rows_.data(), frame, row_bytes_, frame_bytes_);
  if (!encode_tokens(rows_.data(), zeros_.data(), frame_bytes_ - 1, PartForm::kRows, alone_)) alone_.put_raw(frame, frame_bytes_);
}

bool FrameEncoder::encode_tokens(const std::byte* values, const std::byte* from, std::int64_t limit, PartForm form, Part& part) {
  loops().differences(values, from, frame_bytes_, differs_.data());
  loops().differences(values, values + 1, frame_bytes_ - 1, changes_.data());
  changes_[stops_.size() - 1] |= ~std::uint64_t{0} << ((frame_bytes_ - 1) % 64);
  loops().stops(differs_.data(), changes_.data(), static_cast<std::int64_t>(stops_.size()), stops_.data());
  if (!part.put_tokens(*this, values, limit)) return false;
  part.put_head(form);
  return true;
}

// The first bit set at `position` or behind it, or the end.
std::int64_t FrameEncoder::next(const std::vector<std::uint64_t>& bits, std::int64_t position) const {
  if (position >= frame_bytes_) return frame_bytes_;
  auto i = static_cast<std::size_t>(position / 64);
  std::uint64_t word = bits[i] & (~std::uint64_t{0} << (position % 64));
  while (word == 0 && ++i < bits.size()) word = bits[i];
  return word == 0 ? frame_bytes_ : std::min(static_cast<std::int64_t>(i) * 64 + std::countr_zero(word), frame_bytes_);
}

std::int64_t FrameEncoder::nbytes() const {
  return static_cast<std::int64_t>(zeros_.size() + rows_.size() + 3 * differs_.size() * sizeof(std::uint64_t)) + alone_.nbytes() +
         based_.nbytes();
}

FrameEncoder::Part::Part(std::int64_t frame_bytes)
    : bytes_(static_cast<std::size_t>(kMaxHeadBytes + frame_bytes)), tokens_(static_cast<std::size_t>(frame_bytes + 2)) {}

// False, if they take more than `limit` bytes, which is at most the frame.
bool FrameEncoder::Part::put_tokens(const FrameEncoder& encoder, const std::byte* frame, std::int64_t limit) {
  end_ = kMaxHeadBytes;
  num_token_bytes_ = 0;
  for (std::int64_t position = 0;;) {
    std::int64_t keep = encoder.next(encoder.differs_, position) - position;
    position += keep;
    if (position == encoder.frame_bytes_) break;
    const std::int64_t run_end = encoder.next(encoder.changes_, position) + 1;
    const bool is_run = run_end - position >= kMinRun;
    const std::int64_t end = is_run ? run_end : encoder.next(encoder.stops_, position);
    for (; keep > kMaxKeep && payload_bytes() <= limit; keep = skip(keep)) {}
    for (; position < end; keep = 0) {
      const std::int64_t length = std::min(end - position, kMaxLength), num_values = is_run ? 1 : length;
      if (payload_bytes() + num_values + 2 > limit) return false;
      put_token(keep, length, is_run);
      std::memcpy(bytes_.data() + end_, frame + position, static_cast<std::size_t>(num_values));
      end_ += static_cast<std::size_t>(num_values);
      position += length;
    }
  }
  std::memcpy(bytes_.data() + end_, tokens_.data() + tokens_.size() - num_token_bytes_, num_token_bytes_);
  end_ += num_token_bytes_;
  return true;
}

// A token for most of a long stretch to keep; returns the rest of it.
std::int64_t FrameEncoder::Part::skip(std::int64_t keep) {
  const std::int64_t count = std::min(keep / kLongKeep, kMaxKeep);
  put_token(count, 0, false);
  return keep - count * kLongKeep;
}

void FrameEncoder::Part::put_token(std::int64_t keep, std::int64_t length, bool is_run) {
  num_token_bytes_ += 2;
  std::byte* token = tokens_.data() + tokens_.size() - num_token_bytes_;
  token[0] = static_cast<std::byte>(keep);
  token[1] = static_cast<std::byte>(length) | (is_run ? kIsRun : std::byte{0});
}

void FrameEncoder::Part::put_raw(const std::byte* frame, std::int64_t frame_bytes) {
  std::memcpy(bytes_.data() + kMaxHeadBytes, frame, static_cast<std::size_t>(frame_bytes));
  end_ = static_cast<std::size_t>(kMaxHeadBytes + frame_bytes);
  put_head(PartForm::kRaw);
}

void FrameEncoder::Part::put_head(PartForm form) {
  std::uint64_t head = (end_ - kMaxHeadBytes) << 2 | static_cast<std::uint64_t>(form);
  std::byte bytes[kMaxHeadBytes];
  std::size_t count = 0;
  do {
    bytes[count++] = static_cast<std::byte>(head & 127) | (head > 127 ? std::byte{128} : std::byte{0});
    head >>= 7;
  } while (head > 0);
  begin_ = kMaxHeadBytes - count;
  std::memcpy(bytes_.data() + begin_, bytes, count);
}

}  // namespace mujigae
