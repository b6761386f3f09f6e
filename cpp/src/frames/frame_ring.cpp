#include "mujigae/frames/frame_ring.hpp"

#include <algorithm>
#include <cstring>

#include "mujigae/check.hpp"
#include "mujigae/frames/coded_frame_log.hpp"

namespace mujigae {
namespace {

bool is_zero(const std::byte* bytes, std::int64_t count) {
  return bytes[0] == std::byte{0} && std::memcmp(bytes, bytes + 1, static_cast<std::size_t>(count) - 1) == 0;
}

bool are_equal(const std::byte* a, const std::byte* b, std::int64_t count) {
  return std::memcmp(a, b, static_cast<std::size_t>(count)) == 0;
}

bool is_coded(std::int64_t frame_bytes, bool compress) { return compress && frame_bytes >= CodedFrameLog::kMinFrameBytes; }

}  // namespace

std::int64_t min_stored_bytes(std::int64_t frame_bytes, bool compress) {
  constexpr std::int64_t kAddressAndHead = 9;
  return is_coded(frame_bytes, compress) ? kAddressAndHead : frame_bytes;
}

std::int64_t max_log_bytes(const FrameLayout& layout, bool compress) {
  constexpr std::int64_t kPlainBytes = 1024, kEncoderFrames = 13;
  return kPlainBytes + (is_coded(layout.frame_bytes, compress) ? layout.bytes() + kEncoderFrames * layout.frame_bytes : 0);
}

std::unique_ptr<FrameLog> make_frame_log(const FrameLayout& layout, std::int64_t num_frames_hint, bool compress, PagePool* pool) {
  if (is_coded(layout.frame_bytes, compress)) {
    return std::make_unique<CodedFrameLog>(layout.frame_bytes, layout.row_bytes, layout.stack, num_frames_hint, pool);
  }
  return std::make_unique<PlainFrameLog>(layout.frame_bytes, num_frames_hint, pool);
}

// --- StackLane

// The cheapest of the encodings that give back exactly these frames.
Stack StackLane::start(const std::byte* frames) {
  if (current_.newest() >= 0 && equals_current(frames)) return current_;
  const std::byte* newest = frames + (stack_ - 1) * log_->frame_bytes();
  if (current_.newest() >= 0 && continues_current(frames)) return append(newest);
  const std::int64_t zeros = num_leading_zeros(frames);
  const std::int64_t repeats = num_leading_repeats(frames) - 1;
  const std::int64_t num_padding = std::max(zeros, repeats);
  for (std::int64_t i = num_padding; i < stack_; ++i) log_->append(frames + i * log_->frame_bytes());
  current_ = {log_->end() - 1, stack_ - 1 - num_padding, zeros >= repeats ? Padding::kZeros : Padding::kRepeat};
  return current_;
}

Stack StackLane::append(const std::byte* frame) {
  const std::int64_t newest = log_->append(frame);
  current_ = {newest, successor(current_).depth(), current_.padding()};
  return current_;
}

bool StackLane::follows(const Stack& stack, const Stack& before, bool begins_episode) const {
  const Stack rolled = successor(before);
  if (stack == rolled) return true;
  return begins_episode && (stack == successor(rolled) || starts_anew(stack, rolled.newest() + 1));
}

// All its frames were written from `position` on; where they fill the stack, nothing is said of padding.
bool StackLane::starts_anew(const Stack& stack, std::int64_t position) const {
  return stack.oldest() == position && (num_padding(stack) > 0 || stack.padding() == Padding::kZeros);
}

std::int64_t StackLane::position_at(const Stack& stack, std::int64_t index) const {
  const std::int64_t age = stack_ - 1 - index;
  if (age <= stack.depth()) return stack.newest() - age;
  return stack.padding() == Padding::kRepeat ? stack.oldest() : -1;
}

const std::byte* StackLane::current_frame(std::int64_t index) const {
  const std::int64_t position = position_at(current_, index);
  return position < 0 ? nullptr : log_->recent(position);
}

bool StackLane::equals_current(const std::byte* frames) const {
  const std::int64_t bytes = log_->frame_bytes();
  for (std::int64_t i = stack_ - 1; i >= 0; --i) {  // the newest frame differs most often
    const std::byte* frame = current_frame(i);
    if (frame ? !are_equal(frame, frames + i * bytes, bytes) : !is_zero(frames + i * bytes, bytes)) return false;
  }
  return true;
}

bool StackLane::continues_current(const std::byte* frames) const {
  const std::int64_t bytes = log_->frame_bytes();
  for (std::int64_t i = stack_ - 2; i >= 0; --i) {
    const std::byte* frame = current_frame(i + 1);
    if (frame ? !are_equal(frame, frames + i * bytes, bytes) : !is_zero(frames + i * bytes, bytes)) return false;
  }
  return true;
}

std::int64_t StackLane::num_leading_zeros(const std::byte* frames) const {
  std::int64_t count = 0;
  while (count < stack_ - 1 && is_zero(frames + count * log_->frame_bytes(), log_->frame_bytes())) ++count;
  return count;
}

std::int64_t StackLane::num_leading_repeats(const std::byte* frames) const {
  std::int64_t count = 1;
  while (count < stack_ && are_equal(frames, frames + count * log_->frame_bytes(), log_->frame_bytes())) ++count;
  return count;
}

void StackLane::read(const Stack& stack, std::byte* out) const {
  log_->read(stack.oldest(), stack.depth() + 1, out + num_padding(stack) * log_->frame_bytes(), nullptr);
  pad(stack, out);
}

// Fills the part of a stack before the frames that belong to it, which have been read.
void StackLane::pad(const Stack& stack, std::byte* out) const {
  const std::int64_t bytes = log_->frame_bytes(), count = num_padding(stack);
  for (std::int64_t i = 0; i < count; ++i) {
    if (stack.padding() == Padding::kZeros) {
      std::memset(out + i * bytes, 0, static_cast<std::size_t>(bytes));
    } else {
      std::memcpy(out + i * bytes, out + count * bytes, static_cast<std::size_t>(bytes));
    }
  }
}

void StackLane::read_both(const Stack& stack, std::byte* out, const Stack& later, std::byte* later_out) const {
  read(stack, out);
  const std::int64_t bytes = log_->frame_bytes(), num_shared = stack.newest() - later.oldest() + 1;
  if (num_shared < 0) return read(later, later_out);
  std::byte* to = later_out + num_padding(later) * bytes;
  std::memcpy(to, out + (stack_ - num_shared) * bytes, static_cast<std::size_t>(num_shared * bytes));
  log_->read(stack.newest() + 1, later.newest() - stack.newest(), to + num_shared * bytes, out + (stack_ - 1) * bytes);
  pad(later, later_out);
}

void StackLane::locate_padding(const Stack& stack, std::byte* out, std::vector<FrameCopy>& copies) const {
  const std::int64_t bytes = plain_->frame_bytes(), count = num_padding(stack);
  const std::byte* frame = stack.padding() == Padding::kZeros ? nullptr : plain_->run(stack.oldest(), 1).frames;
  for (std::int64_t i = 0; i < count; ++i) copies.push_back({frame, out + i * bytes, static_cast<std::size_t>(bytes)});
}

void StackLane::clear() {
  log_->clear();
  current_ = {};
  expected_begin_ = expected_end_ = -1;
}

void StackLane::expect_frames(std::int64_t begin, std::int64_t end, const Stack& current) {
  expected_begin_ = begin;
  expected_end_ = end;
  current_ = current;
}

std::string StackLane::why_invalid() const {
  const std::int64_t num_frames = log_->end() - log_->begin();
  if (expected_begin_ >= 0 && num_frames != expected_end_ - expected_begin_) {
    return concat(num_frames, " frames, expected ", expected_end_ - expected_begin_);
  }
  if (num_frames == 0 ? current_.newest() >= 0 : current_.newest() != log_->end() - 1 || current_.oldest() < log_->begin()) {
    return "a current stack that is not among the frames";
  }
  return current_.depth() < stack_ ? "" : "a current stack that is too deep";
}

// --- FrameRing

FrameRing::FrameRing(std::int64_t capacity, const FrameLayout& layout, bool compress)
    : lane_(make_frame_log(layout, capacity, compress), layout.stack), slots_(static_cast<std::size_t>(capacity)) {}

std::int64_t FrameRing::start(const std::byte* frames) {
  lane_.reserve(lane_.stack());
  return keep(lane_.start(frames));
}

std::int64_t FrameRing::append(const std::byte* frame) {
  if (lane_.current().newest() < 0) fail_value("append: expected a started episode, got none: call start(frames) first");
  lane_.reserve(1);
  return keep(lane_.append(frame));
}

std::int64_t FrameRing::keep(const Stack& stack) {
  const std::int64_t slot = num_stacks_++ % capacity();
  slots_[static_cast<std::size_t>(slot)] = stack;
  const std::int64_t oldest_slot = num_stacks_ <= capacity() ? 0 : num_stacks_ % capacity();
  lane_.drop_before(std::min(slots_[static_cast<std::size_t>(oldest_slot)].oldest(), stack.oldest()));
  return slot;
}

void FrameRing::check_slot(std::int64_t slot, std::size_t at) const {
  if (slot < 0 || slot >= size()) fail_index("slots[", at, "]: expected 0 <= slot < ", size(), " (written so far), got ", slot);
}

void FrameRing::read(std::int64_t slot, std::byte* out) const { lane_.read(slots_[static_cast<std::size_t>(slot)], out); }

std::int64_t FrameRing::nbytes() const { return lane_.log().nbytes() + static_cast<std::int64_t>(slots_.size() * sizeof(Stack)); }

std::string FrameRing::why_invalid() const {
  for (std::int64_t slot = 0; slot < size(); ++slot) {
    const Stack& stack = slots_[static_cast<std::size_t>(slot)];
    if (stack.depth() >= lane_.stack()) return concat("slot ", slot, " is deeper than the stack");
    if (stack.oldest() < lane_.log().begin() || stack.newest() >= lane_.log().end()) {
      return concat("slot ", slot, " refers to frames that are not held");
    }
  }
  return {};
}

}  // namespace mujigae
