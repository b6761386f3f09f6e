#include "mujigae/frames/frame_mirror.hpp"

#include <algorithm>

namespace mujigae {

FrameMirror::FrameMirror(std::int64_t num_lanes, std::int64_t num_frames_hint)
    // A frame a row, one more for each episode: long episodes fit from the beginning.
    : places_per_lane_(num_frames_hint + num_frames_hint / 64 + 8), brought_(static_cast<std::size_t>(num_lanes)) {}

std::vector<FrameMirror::Fresh> FrameMirror::fresh(std::span<const StackLane* const> lanes, std::int64_t max_frames) {
  const auto num_held = [](const StackLane* lane) { return lane->log().end() - lane->log().begin(); };
  std::int64_t most = 0;
  for (const StackLane* lane : lanes) most = std::max(most, num_held(lane));
  if (most > places_per_lane_) {
    while (most > places_per_lane_) places_per_lane_ += places_per_lane_ / 4 + 1;
    restart();
  }
  std::vector<Fresh> found;
  for (std::size_t e = 0; e < lanes.size() && max_frames > 0; ++e) {
    const std::int64_t first = std::max(brought_[e], lanes[e]->log().begin());
    const std::int64_t count = std::min(max_frames, lanes[e]->log().end() - first);
    if (count > 0) found.push_back({static_cast<std::int64_t>(e), first, count});
    max_frames -= std::max<std::int64_t>(count, 0);
  }
  return found;
}

void FrameMirror::mark(std::span<const Fresh> brought) {
  for (const Fresh& run : brought) brought_[static_cast<std::size_t>(run.lane)] = run.first + run.count;
}

void FrameMirror::restart() { std::fill(brought_.begin(), brought_.end(), 0); }

std::int64_t FrameMirror::place(std::int64_t lane, std::int64_t position) const {
  return position < 0 ? num_places() - 1 : lane * places_per_lane_ + position % places_per_lane_;
}

}  // namespace mujigae
