// Which frames of one observation a copy on another device (such as a GPU) lacks, and in which slot of the copy each frame lies.
//
//   slot = lane x slots_per_lane + position % slots_per_lane           and one more, the last: zeros
//
// The owner of the copy writes new frames into their slots, and gathers stacks by the slots that a batch names. When a lane holds
// more frames than it has slots, every lane gets a quarter more, and all frames have to be copied again.
//
// O(lanes) a batch, and O(1) a new frame. Threads: none; the owner locks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mujigae/frames/frame_ring.hpp"

namespace mujigae {

class FrameMirror {
 public:
  FrameMirror(std::int64_t num_lanes, std::int64_t num_frames_hint);  // a lane that holds about so many frames

  // Frames first ... first + count of a lane have to be copied.
  struct Fresh {
    std::int64_t lane, first, count;
  };
  // The frames that the copy lacks, at most `max_frames`; `mark` says that they have been copied. Slots are added first where they are needed.
  std::vector<Fresh> fresh(std::span<const StackLane* const> lanes, std::int64_t max_frames);
  void mark(std::span<const Fresh> copied);
  void restart();  // nothing has been copied

  std::int64_t slot(std::int64_t lane, std::int64_t position) const;  // position -1: zeros
  std::int64_t num_slots() const { return num_lanes() * slots_per_lane_ + 1; }

 private:
  std::int64_t num_lanes() const { return static_cast<std::int64_t>(copied_ends_.size()); }

  std::int64_t slots_per_lane_;
  std::vector<std::int64_t> copied_ends_;  // per lane: the frames before this position have been copied
};

}  // namespace mujigae
