// Compressed frames; to read one, only a few others have to be decoded before it.
//
//   position     0    1    2  ...  7    8    9  ...  31   32   33
//   step              coded from the frame before, each but the first, unless it takes fewer bytes coded on its own
//   entry        own               from 0                 own          every 8th frame again: from the first of its 32, or on its own
//
// A record is a step (frame_codec.hpp), and where the step needs the frame before and the position is a multiple of 8, an entry. A run
// of frames begins with the last entry or step that needs no frame before, goes on step by step, and so takes at most one frame
// coded on its own, one entry and 7 steps more than it has frames. The frames of a 32 are dropped together.
//
//   chunk        [ record ][ record ] ...           in a file: record, checksum of position and record
//   addresses    PlainFrameLog of  chunk << 32 | offset,  one for each position
//
// The newest frames, as many as a stack has, are kept as they are, for the next step and for comparisons. A new one is copied there
// first and encoded from there: should another thread write into the caller's frame meanwhile, only that frame is stored incorrectly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mujigae/frames/frame_codec.hpp"
#include "mujigae/frames/frame_log.hpp"
#include "mujigae/storage/pages.hpp"

namespace mujigae {

class CodedFrameLog final : public FrameLog {
 public:
  // Smaller frames are not worth it: what a record takes beside the frame would be more than 1 %.
  static constexpr std::int64_t kMinFrameBytes = 1024;

  CodedFrameLog(std::int64_t frame_bytes, std::int64_t row_bytes, std::int64_t num_recent, std::int64_t num_frames_hint,
                PagePool* pool = nullptr);

  void reserve(std::int64_t num_frames) override;
  std::int64_t append(const std::byte* frame) override;
  void drop_before(std::int64_t position) override;
  void restart_at(std::int64_t position) override;
  void clear() override;  // goes on with the next 32

  void read(std::int64_t position, std::int64_t count, std::byte* out, const std::byte* before) const override;
  const std::byte* recent(std::int64_t position) const override { return recent_.get() + offset_of(position); }

  // In a snapshot: steps, the first of which needs no frame before.
  void save(SnapshotWriter& writer) const override;
  void load(SnapshotReader& reader, std::int64_t max_frames) override;

  std::int64_t file_bytes(std::int64_t max_frames) const override;
  void put_in(MappedFile& file, std::byte* begin, std::int64_t max_frames) override;
  bool adopt(std::int64_t begin, std::int64_t end) override;
  std::int64_t first_intact() const override { return first_intact_; }

  std::int64_t nbytes() const override;

 private:
  static constexpr std::int64_t kEntryPeriod = 8, kGroup = 32, kLine = 64;

  using Bytes = std::vector<std::byte>;

  std::int64_t offset_of(std::int64_t position) const { return position % num_recent_ * slot_bytes(); }  // within recent_
  std::int64_t slot_bytes() const {
    return (frame_bytes_ + kLine - 1) / kLine * kLine;
  }  // a frame that begins at a cache line is encoded faster
  static std::int64_t group_of(std::int64_t position) { return position / kGroup * kGroup; }
  std::int64_t num_chunks(std::int64_t num_records) const { return (num_records + records_per_chunk_ - 1) / records_per_chunk_; }
  std::int64_t max_chunks(std::int64_t max_frames) const { return num_chunks(max_frames + kGroup) + 3; }
  std::int64_t address(std::int64_t position) const;
  std::span<const std::byte> record_at(std::int64_t position) const;  // to the end of the chunk
  FramePart step_at(std::int64_t position) const { return FramePart::at(record_at(position)); }
  FramePart entry_at(std::int64_t position) const;
  const std::byte* record_end(std::int64_t position) const;  // nullptr: there is no record
  void put_record(std::int64_t position);
  const std::byte* remember(const std::byte* frame);

  std::int64_t start_before(std::int64_t position) const;
  bool try_read(std::int64_t position, std::int64_t count, std::byte* out, const std::byte* before) const;
  bool read_step(std::int64_t position, const std::byte* before, std::byte* out) const;
  bool read_entry(std::int64_t position, std::byte* out, std::byte* scratch) const;
  bool read_alone(std::int64_t position, std::byte* out) const;
  Bytes first_step() const;

  bool is_intact(std::int64_t position) const;
  bool recall();
  std::uint32_t checksum(std::int64_t position, std::span<const std::byte> record) const;

  std::int64_t row_bytes_, num_recent_;
  std::int64_t record_bytes_, records_per_chunk_;  // at most, at least
  Chunks chunks_;
  PlainFrameLog addresses_;
  std::int64_t chunk_ = 0, offset_ = 0;  // where the next record goes, if it fits
  std::int64_t first_intact_ = 0;
  FrameEncoder encoder_;
  Pages recent_;
  Bytes record_, key_;  // key: the first frame of the newest group
};

}  // namespace mujigae
