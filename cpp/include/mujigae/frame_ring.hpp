// Rolling stacks of frames, every frame stored once.
//
//   frames of a lane     f0  f1  f2  f3  f4 | g0  g1 ...         FrameLog: positions that only grow, in chunks
//   stacks (k = 4)       0 0 0 f0,  0 0 f0 f1, ...,  f1 f2 f3 f4, ...
//                        Stack{newest = 0, depth = 0, padding = zeros}, {1, 1, zeros}, ..., {4, 3}
//
// A stack is its newest frame, how many frames before it belong to it (depth, at most k - 1), and what stands in the places
// before those: zeros, or the oldest frame that belongs to it, repeated. A first stack of any other shape has all its k
// frames written, so every padding convention comes back exactly; one that repeats or continues the stack before it (a lost
// life) writes nothing or one frame.
//
// O(1) append and O(k) read, plus the bytes. Memory grows by a chunk at a time and shrinks from the front. In a file each frame
// has a checksum of its position and bytes, so that a frame that never reached the disk, or gave way to another, can be told.
// Threads: none; the owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "mujigae/mapped_file.hpp"

namespace mujigae {

// Places in a mapped file for the chunks of a log: chunk n lies in place n % num_chunks.
struct ChunkPlaces {
  MappedFile* file = nullptr;
  std::byte* begin = nullptr;
  std::int64_t num_chunks = 0;
};

class FrameLog {
 public:
  // About `num_frames_hint` frames will be held at a time: chunks are a small share of that, and at most 2 MiB.
  FrameLog(std::int64_t frame_bytes, std::int64_t num_frames_hint);
  FrameLog(FrameLog&&) = default;

  void reserve(std::int64_t num_frames);  // the next `num_frames` appends cannot fail
  std::int64_t append(const std::byte* frame);
  void drop_before(std::int64_t position);
  void restart_at(std::int64_t position);  // empty, counting on from `position`

  // In a file: so many places of so many bytes for at most `max_frames` at a time; to be put there before the first frame.
  std::int64_t num_places(std::int64_t max_frames) const { return max_frames / frames_per_chunk_ + 3; }
  std::int64_t place_bytes() const;
  void put_in(const ChunkPlaces& places) { places_ = places; }
  bool adopt(std::int64_t begin, std::int64_t end);  // the frames of an earlier process; false: there is no place for so many
  std::int64_t first_whole() const;                  // it and all after it are as they were written

  const std::byte* operator[](std::int64_t position) const;
  // How many frames from `position` on lie one after the other in memory.
  std::int64_t run_length(std::int64_t position) const { return frames_per_chunk_ - (position & (frames_per_chunk_ - 1)); }

  std::int64_t begin() const { return begin_; }
  std::int64_t end() const { return end_; }
  std::int64_t frame_bytes() const { return frame_bytes_; }
  std::int64_t nbytes() const;

 private:
  struct Release {
    bool is_mapped = false;
    void operator()(std::byte* chunk) const {
      if (!is_mapped) delete[] chunk;
    }
  };
  using Chunk = std::unique_ptr<std::byte[], Release>;

  std::int64_t chunk_of(std::int64_t position) const { return position / frames_per_chunk_; }
  std::byte* at(std::int64_t position) const;
  std::byte* checksum_at(std::int64_t position) const;
  std::byte* place_of(std::int64_t chunk) const { return places_.begin + chunk % places_.num_chunks * place_bytes(); }
  Chunk make_chunk(std::int64_t chunk) const;
  void release_places(std::int64_t first_chunk, std::int64_t num_chunks) const;
  std::uint32_t checksum(std::int64_t position) const;

  std::int64_t frame_bytes_;
  std::int64_t frames_per_chunk_;  // a power of two
  std::int64_t begin_ = 0, end_ = 0;
  std::int64_t first_chunk_ = 0;  // the number of chunks_.front()
  std::deque<Chunk> chunks_;
  ChunkPlaces places_;
};

enum class Padding : std::uint8_t { kZeros, kRepeat };

struct Stack {
  std::int64_t newest = -1;
  std::uint8_t depth = 0;
  Padding padding = Padding::kZeros;

  std::int64_t oldest() const { return newest - depth; }
  bool operator==(const Stack&) const = default;
};

// The frame log of one lane and one observation, with the stack that the next frame rolls on from.
class StackLane {
 public:
  static constexpr std::int64_t kMaxStack = 255;

  StackLane(std::int64_t frame_bytes, std::int64_t stack, std::int64_t num_frames_hint);

  void reserve(std::int64_t num_frames) { log_.reserve(num_frames); }
  Stack start(const std::byte* frames);         // [k, frame_bytes]: the first stack of an episode
  Stack append(const std::byte* frame);         // the stack after the current one
  Stack successor(const Stack& stack) const;    // what append returned after `stack`
  bool equals_current(const std::byte* frames) const;
  void read(const Stack& stack, std::byte* out) const;  // [k, frame_bytes]
  std::int64_t position_at(const Stack& stack, std::int64_t index) const;  // of frame `index` of k; -1: zeros
  void drop_before(std::int64_t position) { log_.drop_before(position); }
  void clear();

  const Stack& current() const { return current_; }
  const FrameLog& log() const { return log_; }
  FrameLog& log() { return log_; }
  std::int64_t stack() const { return stack_; }

  // Loading: the log must end up with these frames and the current stack among them; then why_invalid() is empty.
  void expect_frames(std::int64_t begin, std::int64_t end, const Stack& current);
  std::int64_t expected_begin() const { return expected_begin_; }
  std::int64_t expected_end() const { return expected_end_; }
  std::string why_invalid() const;

 private:
  bool continues_current(const std::byte* frames) const;
  std::int64_t num_leading_zeros(const std::byte* frames) const;
  std::int64_t num_leading_repeats(const std::byte* frames) const;
  const std::byte* frame_at(const Stack& stack, std::int64_t index) const;  // nullptr: zeros

  FrameLog log_;
  std::int64_t stack_;
  Stack current_;  // newest == -1: none yet
  std::int64_t expected_begin_ = -1, expected_end_ = -1;  // -1: none
};

// The last `capacity` stacks of one stream, each in a slot of a ring.
class FrameRing {
 public:
  FrameRing(std::int64_t capacity, std::int64_t frame_bytes, std::int64_t stack);

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
