// Rolling stacks of frames, every frame stored once.
//
//   frames of a lane     f0  f1  f2  f3  f4 | g0  g1 ...         FrameLog: positions that only grow
//   stacks (k = 4)       0 0 0 f0,  0 0 f0 f1, ...,  f1 f2 f3 f4, ...
//                        Stack{newest = 0, depth = 0, padding = zeros}, {1, 1, zeros}, ..., {4, 3, zeros}
//
// A stack is its newest frame, how many frames before it belong to it (depth, at most k - 1), and what stands in the positions
// before those: zeros, or the oldest frame that belongs to it, repeated. A first stack of any other shape has all its k
// frames written, so every padding convention comes back exactly; one that repeats or continues the stack before it (a lost
// life) writes nothing or one frame.
//
// O(1) append and O(k) read, plus the bytes. Memory grows by a chunk at a time and shrinks from the front.
// Threads: reading may be shared, everything else belongs to one at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mujigae/frames/frame_copies.hpp"
#include "mujigae/frames/frame_log.hpp"

namespace mujigae {

struct FrameLayout {
  std::int64_t frame_bytes;
  std::int64_t stack;          // 1: not stacked
  std::int64_t row_bytes = 1;  // of a frame: bytes so far apart are often equal

  std::int64_t bytes() const { return frame_bytes * stack; }
};

// Compressed, if `compress` is set and the frames are large enough (CodedFrameLog::kMinFrameBytes).
std::unique_ptr<FrameLog> make_frame_log(const FrameLayout& layout, std::int64_t num_frames_hint, bool compress, PagePool* pool = nullptr);
std::int64_t min_stored_bytes(std::int64_t frame_bytes, bool compress);  // that a frame takes in it
std::int64_t max_log_bytes(const FrameLayout& layout, bool compress);    // that an empty one takes

enum class Padding : std::uint8_t { kZeros, kRepeat };

// Eight bytes, for every row has one: newest << 9 | depth << 1 | padding.
class Stack {
 public:
  static constexpr std::int64_t kMaxNewest = std::int64_t{1} << 53;  // half of what there is room for

  Stack() : Stack(-1, 0, Padding::kZeros) {}  // none yet
  Stack(std::int64_t newest, std::int64_t depth, Padding padding) : word_(newest << 9 | depth << 1 | static_cast<std::int64_t>(padding)) {}

  std::int64_t newest() const { return word_ >> 9; }
  std::int64_t depth() const { return word_ >> 1 & 0xFF; }
  Padding padding() const { return static_cast<Padding>(word_ & 1); }
  std::int64_t oldest() const { return newest() - depth(); }
  bool operator==(const Stack&) const = default;

 private:
  std::int64_t word_;
};

// The frame log of one lane and one observation, with the stack that the next frame rolls on from.
class StackLane {
 public:
  static constexpr std::int64_t kMaxStack = 255;

  StackLane(std::unique_ptr<FrameLog> log, std::int64_t stack) : log_(std::move(log)), plain_(log_->plain()), stack_(stack) {}

  void reserve(std::int64_t num_frames) { log_->reserve(num_frames); }
  Stack start(const std::byte* frames);         // [k, frame_bytes]: the first stack of an episode
  Stack append(const std::byte* frame);         // the stack after the current one
  Stack successor(const Stack& stack) const {   // what append returned after `stack`
    return {stack.newest() + 1, std::min(stack.depth() + 1, stack_ - 1), stack.padding()};
  }
  // Whether `stack` can be the next one after `before`: its successor, or, where an episode begins, what start makes of its frames.
  bool follows(const Stack& stack, const Stack& before, bool begins_episode) const;
  bool equals_current(const std::byte* frames) const;
  void read(const Stack& stack, std::byte* out) const;  // [k, frame_bytes]
  std::int64_t position_at(const Stack& stack, std::int64_t index) const;  // of frame `index` of k; -1: zeros
  // Each frame once. `later` is a successor of `stack`, or a successor of one of those.
  void read_both(const Stack& stack, std::byte* out, const Stack& later, std::byte* later_out) const;
  // The same, or what it would copy, appended to `copies`: frames that lie somewhere as they are are left there.
  void locate_both(const Stack& stack, std::byte* out, const Stack& later, std::byte* later_out, std::vector<FrameCopy>& copies) const {
    if (plain_ == nullptr) return read_both(stack, out, later, later_out);
    locate(stack, out, copies);
    locate(later, later_out, copies);
  }
  bool is_plain() const { return plain_ != nullptr; }                                        // frames lie as they are
  const std::byte* plain_frame(std::int64_t position) const { return (*plain_)[position]; }  // where, if they do
  void drop_before(std::int64_t position) { log_->drop_before(position); }
  bool frees_before(std::int64_t position) const { return plain_ != nullptr && plain_->frees_before(position); }  // what was located
  void clear();

  const Stack& current() const { return current_; }
  const FrameLog& log() const { return *log_; }
  FrameLog& log() { return *log_; }
  std::int64_t stack() const { return stack_; }

  // Loading: the log must end up with these frames and the current stack among them; then why_invalid() is empty.
  void expect_frames(std::int64_t begin, std::int64_t end, const Stack& current);
  std::int64_t expected_begin() const { return expected_begin_; }
  std::int64_t expected_end() const { return expected_end_; }
  std::string why_invalid() const;

 private:
  bool starts_anew(const Stack& stack, std::int64_t position) const;
  bool continues_current(const std::byte* frames) const;
  std::int64_t num_leading_zeros(const std::byte* frames) const;
  std::int64_t num_leading_repeats(const std::byte* frames) const;
  const std::byte* current_frame(std::int64_t index) const;  // nullptr: zeros
  std::int64_t num_padding(const Stack& stack) const { return stack_ - 1 - stack.depth(); }
  void pad(const Stack& stack, std::byte* out) const;
  void locate(const Stack& stack, std::byte* out, std::vector<FrameCopy>& copies) const {
    if (num_padding(stack) > 0) locate_padding(stack, out, copies);
    out += num_padding(stack) * plain_->frame_bytes();
    for (std::int64_t position = stack.oldest(); position <= stack.newest();) {
      const PlainFrameLog::Run run = plain_->run(position, stack.newest() - position + 1);
      copies.push_back({run.frames, out, static_cast<std::size_t>(run.count * plain_->frame_bytes())});
      load_ahead(run.frames, copies.back().bytes);
      position += run.count;
      out += run.count * plain_->frame_bytes();
    }
  }
  void locate_padding(const Stack& stack, std::byte* out, std::vector<FrameCopy>& copies) const;

  std::unique_ptr<FrameLog> log_;
  const PlainFrameLog* plain_;  // the same; nullptr: compressed
  std::int64_t stack_;
  Stack current_;  // newest == -1: none yet
  std::int64_t expected_begin_ = -1, expected_end_ = -1;  // -1: none
};

// The last `capacity` stacks of one stream, each in a slot of a ring.
class FrameRing {
 public:
  FrameRing(std::int64_t capacity, const FrameLayout& layout, bool compress = false);

  std::int64_t start(const std::byte* frames);  // [k, frame_bytes] -> slot
  std::int64_t append(const std::byte* frame);  // -> slot
  void read(std::int64_t slot, std::byte* out) const;
  void check_slot(std::int64_t slot, std::size_t at) const;

  std::int64_t capacity() const { return static_cast<std::int64_t>(slots_.size()); }
  std::int64_t size() const { return num_stacks_ < capacity() ? num_stacks_ : capacity(); }
  std::int64_t nbytes() const;
  std::string why_invalid() const;

 private:
  std::int64_t keep(const Stack& stack);

  StackLane lane_;
  std::vector<Stack> slots_;
  std::int64_t num_stacks_ = 0;
};

}  // namespace mujigae
