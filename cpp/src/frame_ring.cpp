#include "mujigae/frame_ring.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <stdexcept>

#include "mujigae/check.hpp"
#include "mujigae/crc32.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kMaxChunkBytes = 2 << 20, kMinChunkBytes = 4096, kPlaceAlignment = 4096;

std::int64_t choose_frames_per_chunk(std::int64_t frame_bytes, std::int64_t num_frames_hint) {
  const std::int64_t share = num_frames_hint / 64;  // two partly filled chunks a lane waste about a thirtieth
  const std::int64_t largest = std::max<std::int64_t>(kMaxChunkBytes / frame_bytes, 1);
  const std::int64_t smallest = std::clamp<std::int64_t>(kMinChunkBytes / frame_bytes, 1, largest);
  return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(std::clamp(share, smallest, largest))));
}

bool is_zero(const std::byte* bytes, std::int64_t count) {
  return count == 0 || (bytes[0] == std::byte{0} && std::memcmp(bytes, bytes + 1, static_cast<std::size_t>(count) - 1) == 0);
}

bool are_equal(const std::byte* a, const std::byte* b, std::int64_t count) {
  return std::memcmp(a, b, static_cast<std::size_t>(count)) == 0;
}

}  // namespace

// --- FrameLog

FrameLog::FrameLog(std::int64_t frame_bytes, std::int64_t num_frames_hint)
    : frame_bytes_(frame_bytes), frames_per_chunk_(choose_frames_per_chunk(frame_bytes, num_frames_hint)) {}

std::int64_t FrameLog::place_bytes() const {
  return round_up_to(kPlaceAlignment, frames_per_chunk_ * (frame_bytes_ + static_cast<std::int64_t>(sizeof(std::uint32_t))));
}

FrameLog::Chunk FrameLog::make_chunk(std::int64_t chunk) const {
  if (places_.file == nullptr) return Chunk(new std::byte[static_cast<std::size_t>(frames_per_chunk_ * frame_bytes_)]);
  places_.file->reserve(place_of(chunk), place_bytes());
  return {place_of(chunk), Release{true}};
}

void FrameLog::reserve(std::int64_t num_frames) {
  const std::int64_t num_chunks = num_frames > 0 ? chunk_of(end_ + num_frames - 1) - first_chunk_ + 1 : 0;
  while (static_cast<std::int64_t>(chunks_.size()) < num_chunks) {
    if (places_.file != nullptr && num_chunks > places_.num_chunks) throw std::logic_error("more frames than a lane can need");
    chunks_.push_back(make_chunk(first_chunk_ + static_cast<std::int64_t>(chunks_.size())));
  }
}

std::int64_t FrameLog::append(const std::byte* frame) {
  reserve(1);
  std::memcpy(at(end_), frame, static_cast<std::size_t>(frame_bytes_));
  if (places_.file != nullptr) {
    const std::uint32_t sum = checksum(end_);
    std::memcpy(checksum_at(end_), &sum, sizeof(sum));
  }
  return end_++;
}

void FrameLog::drop_before(std::int64_t position) {
  begin_ = std::clamp(position, begin_, end_);
  while (first_chunk_ < chunk_of(begin_) && !chunks_.empty()) {
    chunks_.pop_front();
    release_places(first_chunk_++, 1);
  }
}

void FrameLog::restart_at(std::int64_t position) {
  chunks_.clear();
  begin_ = end_ = position;
  first_chunk_ = chunk_of(position);
  release_places(0, places_.num_chunks);
}

std::byte* FrameLog::at(std::int64_t position) const {
  const auto chunk = static_cast<std::size_t>(chunk_of(position) - first_chunk_);
  return chunks_[chunk].get() + (position & (frames_per_chunk_ - 1)) * frame_bytes_;
}

const std::byte* FrameLog::operator[](std::int64_t position) const { return at(position); }

// --- FrameLog in a file: the frames of a chunk, then their checksums

void FrameLog::release_places(std::int64_t first_chunk, std::int64_t num_chunks) const {
  if (places_.file == nullptr) return;
  const std::int64_t first = first_chunk % places_.num_chunks, before_wrap = std::min(num_chunks, places_.num_chunks - first);
  places_.file->release(places_.begin + first * place_bytes(), before_wrap * place_bytes());
  places_.file->release(places_.begin, (num_chunks - before_wrap) * place_bytes());
}

std::byte* FrameLog::checksum_at(std::int64_t position) const {
  const std::int64_t index = position & (frames_per_chunk_ - 1);
  return at(position - index) + frames_per_chunk_ * frame_bytes_ + index * static_cast<std::int64_t>(sizeof(std::uint32_t));
}

std::uint32_t FrameLog::checksum(std::int64_t position) const {
  const std::uint32_t of_position = crc32(std::as_bytes(std::span(&position, 1)));
  return crc32({at(position), static_cast<std::size_t>(frame_bytes_)}, of_position);
}

bool FrameLog::adopt(std::int64_t begin, std::int64_t end) {
  const std::int64_t first_chunk = chunk_of(begin), num_chunks = end > begin ? chunk_of(end - 1) - first_chunk + 1 : 0;
  if (num_chunks > places_.num_chunks) return false;
  begin_ = end_ = begin;
  first_chunk_ = first_chunk;
  reserve(end - begin);
  end_ = end;
  release_places(first_chunk + num_chunks, places_.num_chunks - num_chunks);
  return true;
}

std::int64_t FrameLog::first_whole() const {
  for (std::int64_t position = end_; position-- > begin_;) {
    std::uint32_t written;
    std::memcpy(&written, checksum_at(position), sizeof(written));
    if (written != checksum(position)) return position + 1;
  }
  return begin_;
}

std::int64_t FrameLog::nbytes() const {
  const std::int64_t chunk_bytes = places_.file == nullptr ? frames_per_chunk_ * frame_bytes_ : place_bytes();
  return static_cast<std::int64_t>(chunks_.size()) * (chunk_bytes + static_cast<std::int64_t>(sizeof(Chunk)));
}

// --- StackLane

StackLane::StackLane(std::int64_t frame_bytes, std::int64_t stack, std::int64_t num_frames_hint)
    : log_(frame_bytes, num_frames_hint), stack_(stack) {}

// The cheapest of the encodings that give back exactly these frames.
Stack StackLane::start(const std::byte* frames) {
  if (current_.newest >= 0 && equals_current(frames)) return current_;
  const std::byte* newest = frames + (stack_ - 1) * log_.frame_bytes();
  if (current_.newest >= 0 && continues_current(frames)) return append(newest);
  const std::int64_t zeros = num_leading_zeros(frames);
  const std::int64_t repeats = num_leading_repeats(frames) - 1;
  const std::int64_t num_padding = std::max(zeros, repeats);
  for (std::int64_t i = num_padding; i < stack_; ++i) log_.append(frames + i * log_.frame_bytes());
  current_ = {log_.end() - 1, static_cast<std::uint8_t>(stack_ - 1 - num_padding),
              zeros >= repeats ? Padding::kZeros : Padding::kRepeat};
  return current_;
}

Stack StackLane::append(const std::byte* frame) {
  const std::int64_t newest = log_.append(frame);
  current_ = successor(current_);
  current_.newest = newest;
  return current_;
}

Stack StackLane::successor(const Stack& stack) const {
  const std::int64_t depth = std::min<std::int64_t>(stack.depth + 1, stack_ - 1);
  return {stack.newest + 1, static_cast<std::uint8_t>(depth), stack.padding};
}

std::int64_t StackLane::position_at(const Stack& stack, std::int64_t index) const {
  const std::int64_t age = stack_ - 1 - index;
  if (age <= stack.depth) return stack.newest - age;
  return stack.padding == Padding::kRepeat ? stack.oldest() : -1;
}

const std::byte* StackLane::frame_at(const Stack& stack, std::int64_t index) const {
  const std::int64_t position = position_at(stack, index);
  return position < 0 ? nullptr : log_[position];
}

bool StackLane::equals_current(const std::byte* frames) const {
  const std::int64_t bytes = log_.frame_bytes();
  for (std::int64_t i = stack_ - 1; i >= 0; --i) {  // the newest frame differs most often
    const std::byte* frame = frame_at(current_, i);
    if (frame ? !are_equal(frame, frames + i * bytes, bytes) : !is_zero(frames + i * bytes, bytes)) return false;
  }
  return true;
}

bool StackLane::continues_current(const std::byte* frames) const {
  const std::int64_t bytes = log_.frame_bytes();
  for (std::int64_t i = stack_ - 2; i >= 0; --i) {
    const std::byte* frame = frame_at(current_, i + 1);
    if (frame ? !are_equal(frame, frames + i * bytes, bytes) : !is_zero(frames + i * bytes, bytes)) return false;
  }
  return true;
}

std::int64_t StackLane::num_leading_zeros(const std::byte* frames) const {
  std::int64_t count = 0;
  while (count < stack_ - 1 && is_zero(frames + count * log_.frame_bytes(), log_.frame_bytes())) ++count;
  return count;
}

std::int64_t StackLane::num_leading_repeats(const std::byte* frames) const {
  std::int64_t count = 1;
  while (count < stack_ && are_equal(frames, frames + count * log_.frame_bytes(), log_.frame_bytes())) ++count;
  return count;
}

void StackLane::read(const Stack& stack, std::byte* out) const {
  const std::int64_t bytes = log_.frame_bytes();
  std::int64_t index = stack_ - 1 - stack.depth;  // the first place that is no padding
  for (std::int64_t i = 0; i < index; ++i) {
    if (stack.padding == Padding::kZeros) {
      std::memset(out + i * bytes, 0, static_cast<std::size_t>(bytes));
    } else {
      std::memcpy(out + i * bytes, log_[stack.oldest()], static_cast<std::size_t>(bytes));
    }
  }
  for (std::int64_t position = stack.oldest(); position <= stack.newest;) {
    const std::int64_t run = std::min(log_.run_length(position), stack.newest - position + 1);
    std::memcpy(out + index * bytes, log_[position], static_cast<std::size_t>(run * bytes));
    position += run;
    index += run;
  }
}

void StackLane::clear() {
  log_.restart_at(log_.end());
  current_ = {};
  expected_begin_ = expected_end_ = -1;
}

void StackLane::expect_frames(std::int64_t begin, std::int64_t end, const Stack& current) {
  expected_begin_ = begin;
  expected_end_ = end;
  current_ = current;
}

std::string StackLane::why_invalid() const {
  const std::int64_t num_frames = log_.end() - log_.begin();
  if (expected_begin_ >= 0 && num_frames != expected_end_ - expected_begin_) {
    return concat(num_frames, " frames, expected ", expected_end_ - expected_begin_);
  }
  if (num_frames == 0 ? current_.newest >= 0 : current_.newest != log_.end() - 1 || current_.oldest() < log_.begin()) {
    return "a current stack that is not among the frames";
  }
  return current_.depth < stack_ ? "" : "a current stack that is too deep";
}

// --- FrameRing

FrameRing::FrameRing(std::int64_t capacity, std::int64_t frame_bytes, std::int64_t stack)
    : lane_(frame_bytes, stack, capacity), slots_(static_cast<std::size_t>(capacity)) {}

std::int64_t FrameRing::start(const std::byte* frames) {
  lane_.reserve(lane_.stack());
  return keep(lane_.start(frames));
}

std::int64_t FrameRing::append(const std::byte* frame) {
  if (lane_.current().newest < 0) fail_value("append: expected a started episode, got none: call start(frames) first");
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

std::int64_t FrameRing::nbytes() const {
  return lane_.log().nbytes() + static_cast<std::int64_t>(slots_.size() * sizeof(Stack));
}

std::string FrameRing::why_invalid() const {
  for (std::int64_t slot = 0; slot < size(); ++slot) {
    const Stack& stack = slots_[static_cast<std::size_t>(slot)];
    if (stack.depth >= lane_.stack()) return concat("slot ", slot, " is deeper than the stack");
    if (stack.oldest() < lane_.log().begin() || stack.newest >= lane_.log().end()) {
      return concat("slot ", slot, " refers to frames that are not held");
    }
  }
  return {};
}

}  // namespace mujigae
