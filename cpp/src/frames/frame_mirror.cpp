#include "mujigae/frames/frame_mirror.hpp"

#include <algorithm>

namespace mujigae {

FrameMirror::FrameMirror(std::int64_t num_lanes, std::int64_t num_frames_hint)
    // One frame for each row and one more for each episode: with long episodes no slots are added later.
    : slots_per_lane_(num_frames_hint + num_frames_hint / 64 + 8), copied_ends_(static_cast<std::size_t>(num_lanes)) {}

std::vector<FrameMirror::Fresh> FrameMirror::fresh(std::span<const StackLane* const> lanes, std::int64_t max_frames) {
  const auto num_held = [](const StackLane* lane) { return lane->log().end() - lane->log().begin(); };
  std::int64_t most = 0;
  for (const StackLane* lane : lanes) most = std::max(most, num_held(lane));
  if (most > slots_per_lane_) {
    while (most > slots_per_lane_) slots_per_lane_ += slots_per_lane_ / 4 + 1;
    restart();
  }
  std::vector<Fresh> found;
  for (std::size_t e = 0; e < lanes.size() && max_frames > 0; ++e) {
    const std::int64_t first = std::max(copied_ends_[e], lanes[e]->log().begin());
    const std::int64_t count = std::min(max_frames, lanes[e]->log().end() - first);
    if (count > 0) found.push_back({static_cast<std::int64_t>(e), first, count});
    max_frames -= std::max<std::int64_t>(count, 0);
  }
  return found;
}

void FrameMirror::mark(std::span<const Fresh> copied) {
  for (const Fresh& run : copied) copied_ends_[static_cast<std::size_t>(run.lane)] = run.first + run.count;
}

void FrameMirror::restart() { std::fill(copied_ends_.begin(), copied_ends_.end(), 0); }

std::int64_t FrameMirror::slot(std::int64_t lane, std::int64_t position) const {
  return position < 0 ? num_slots() - 1 : lane * slots_per_lane_ + position % slots_per_lane_;
}

}  // namespace mujigae
