// A second home for the frames of one observation, such as the memory of a GPU: what has to be brought there, and where it lies.
//
//   place = lane x places_per_lane + position % places_per_lane           and one more, the last: zeros
//
// Whoever owns the copy brings new frames to their places, and gathers stacks by the places that a batch names. When a lane holds
// more frames than it has places, every lane gets a quarter more, and all frames have to be brought again.
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

  // Frames first ... first + count of a lane have to be brought.
  struct Fresh {
    std::int64_t lane, first, count;
  };
  // What is new, up to `max_frames`, which is marked as brought by `mark`. More places are made first where they are needed.
  std::vector<Fresh> fresh(std::span<const StackLane* const> lanes, std::int64_t max_frames);
  void mark(std::span<const Fresh> brought);
  void restart();  // nothing has been brought

  std::int64_t place(std::int64_t lane, std::int64_t position) const;  // position -1: zeros
  std::int64_t num_places() const { return num_lanes() * places_per_lane_ + 1; }

 private:
  std::int64_t num_lanes() const { return static_cast<std::int64_t>(brought_.size()); }

  std::int64_t places_per_lane_;
  std::vector<std::int64_t> brought_;  // per lane: the frames before this position
};

}  // namespace mujigae
