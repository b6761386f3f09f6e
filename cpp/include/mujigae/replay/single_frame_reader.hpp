// Rows of a batch whose observations are single frames of less than a page that lie as they are: vectors, and small images without a
// stack. Copies of larger ones are loaded further ahead, and written past the caches where a batch is large (frame_copies.hpp).
//
//   row i + 32   its record begins to load into cache
//   row i + 16   its window is worked out, and its frames begin to load
//   row i        its frames are copied
//
// Such a row is copied in less time than one trip to memory takes, and it takes two, one after the other: to the record, which says
// where the frames are, and to them. So dozens of rows are on their way at any time.
// O(n + bytes) a row. Threads: none; the owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mujigae/replay/batch.hpp"
#include "mujigae/replay/gather.hpp"
#include "mujigae/replay/row_ring.hpp"

namespace mujigae {

class SingleFrameReader {
 public:
  static bool can_read(const GatherSource& source, const BatchView& out);

  SingleFrameReader(const GatherSource& source, std::span<const std::int64_t> slots, const BatchView& out);

  void read(std::size_t begin, std::size_t end);  // rows begin ... end of the batch

 private:
  static constexpr std::size_t kAhead = 16;  // rows
  static constexpr std::int64_t kLargeFrameBytes = 4096;

  struct Frames {
    const std::byte *obs, *next_obs;
  };

  void read_row(std::size_t i);
  void read_payload(std::size_t i);
  void locate(std::size_t i, std::int64_t lane, std::int64_t last_slot);
  void copy_frames(std::size_t i) const;
  Frames& frames(std::size_t i) { return frames_[i % kAhead * out_.obs.size()]; }
  const Frames& frames(std::size_t i) const { return frames_[i % kAhead * out_.obs.size()]; }

  const GatherSource& source_;
  std::span<const std::int64_t> slots_;
  const BatchView& out_;
  RowRing::Fields fields_;
  RowRing::KeyedRows keyed_rows_;
  std::vector<Frames> frames_;  // [kAhead, num_obs], in a ring
};

}  // namespace mujigae
