// The frames of one lane, as they come: positions only grow, old frames go from the front.
//
//   begin ... end     are held
//   PlainFrameLog     each as it is, in chunks of a power of two of frames, about 1/64 of the lane and at most 32 MiB (or one frame)
//   CodedFrameLog     each in few bytes (coded_frame_log.hpp)
//
// In a file each frame has a checksum of its position and bytes, so that a frame that never reached the disk, or gave way to
// another, can be detected.
// O(bytes of a frame) append and read. Threads: reading may be shared, everything else belongs to one at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "mujigae/storage/chunks.hpp"
#include "mujigae/storage/mapped_file.hpp"
#include "mujigae/replay/snapshot.hpp"

namespace mujigae {

class PlainFrameLog;

class FrameLog {
 public:
  explicit FrameLog(std::int64_t frame_bytes) : frame_bytes_(frame_bytes) {}
  virtual ~FrameLog() = default;
  FrameLog(const FrameLog&) = delete;
  FrameLog& operator=(const FrameLog&) = delete;

  virtual void reserve(std::int64_t num_frames) = 0;  // the next `num_frames` appends cannot fail
  virtual std::int64_t append(const std::byte* frame) = 0;
  virtual void drop_before(std::int64_t position) = 0;
  virtual void restart_at(std::int64_t position) = 0;  // empty, counting on from `position`
  virtual void clear() { restart_at(end_); }           // empty, counting on

  // `count` frames from `position` on. before: the frame at position - 1, or nullptr if the caller does not have it.
  virtual void read(std::int64_t position, std::int64_t count, std::byte* out, const std::byte* before) const = 0;
  virtual const PlainFrameLog* plain() const { return nullptr; }  // this one, if its frames lie as they are
  virtual const std::byte* recent(std::int64_t position) const = 0;  // one of the newest frames, as many as a stack has

  virtual void save(SnapshotWriter& writer) const = 0;  // one complete section
  virtual void load(SnapshotReader& reader, std::int64_t max_frames) = 0;  // appends what a section holds

  // In a file: so many bytes for at most `max_frames` at a time; to be put there before the first frame.
  virtual std::int64_t file_bytes(std::int64_t max_frames) const = 0;
  virtual void put_in(MappedFile& file, std::byte* begin, std::int64_t max_frames) = 0;
  virtual bool adopt(std::int64_t begin, std::int64_t end) = 0;  // the frames of an earlier process; false: there is no room for so many
  virtual std::int64_t first_intact() const = 0;                  // the first of those from which on all are as they were written

  virtual std::int64_t nbytes() const = 0;
  std::int64_t begin() const { return begin_; }
  std::int64_t end() const { return end_; }
  std::int64_t frame_bytes() const { return frame_bytes_; }

 protected:
  std::int64_t frame_bytes_;
  std::int64_t begin_ = 0, end_ = 0;
};

class PlainFrameLog final : public FrameLog {
 public:
  // About `num_frames_hint` frames will be held at a time. pool: as of Chunks.
  PlainFrameLog(std::int64_t frame_bytes, std::int64_t num_frames_hint, PagePool* pool = nullptr);

  void reserve(std::int64_t num_frames) override;
  std::int64_t append(const std::byte* frame) override;
  void drop_before(std::int64_t position) override;
  void restart_at(std::int64_t position) override;

  const std::byte* operator[](std::int64_t position) const { return at(position); }
  void read(std::int64_t position, std::int64_t count, std::byte* out, const std::byte* before) const override;
  const PlainFrameLog* plain() const override { return this; }
  // Frames one after the other: where, and how many of `count`. They stay there until drop_before frees memory.
  struct Run {
    const std::byte* frames;
    std::int64_t count;
  };
  Run run(std::int64_t position, std::int64_t count) const { return {at(position), std::min(run_length(position), count)}; }
  bool frees_before(std::int64_t position) const { return chunk_of(position) > chunks_.first(); }
  const std::byte* recent(std::int64_t position) const override { return at(position); }

  void save(SnapshotWriter& writer) const override;
  void load(SnapshotReader& reader, std::int64_t max_frames) override;

  std::int64_t file_bytes(std::int64_t max_frames) const override;
  void put_in(MappedFile& file, std::byte* begin, std::int64_t max_frames) override;
  bool adopt(std::int64_t begin, std::int64_t end) override;
  std::int64_t first_intact() const override;

  std::int64_t nbytes() const override { return chunks_.nbytes(); }

 private:
  std::int64_t chunk_of(std::int64_t position) const { return position >> chunk_shift_; }
  std::int64_t run_length(std::int64_t position) const { return frames_per_chunk_ - (position & (frames_per_chunk_ - 1)); }
  std::int64_t num_file_slots(std::int64_t max_frames) const { return max_frames / frames_per_chunk_ + 3; }
  std::int64_t bytes_in_file() const;
  std::byte* at(std::int64_t position) const { return chunks_[chunk_of(position)] + (position & (frames_per_chunk_ - 1)) * frame_bytes_; }
  std::byte* checksum_at(std::int64_t position) const;
  std::uint32_t checksum(std::int64_t position) const;

  std::int64_t frames_per_chunk_;  // a power of two
  int chunk_shift_;                // its exponent
  Chunks chunks_;
};

}  // namespace mujigae
