// Batches whose frames are mirrored on a device: see frame_mirror.hpp.
#include <algorithm>
#include <cstring>

#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae {

bool ReplayBuffer::sample_mirrored(std::optional<double> beta, const BatchView& out, std::int64_t max_frames,
                                   std::vector<NewFrames>& new_frames) {
  const auto locked = lock();
  while (mirrors_.size() < settings_.obs.size()) mirrors_.emplace_back(settings_.num_envs, rows_.lane(0).slots);
  std::vector<std::vector<FrameMirror::Fresh>> fresh;
  bool is_all = true;
  for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
    std::vector<const StackLane*> lanes;
    lanes.reserve(stacks_.size());
    for (const auto& lane : stacks_) lanes.push_back(&lane[c]);
    fresh.push_back(mirrors_[c].fresh(lanes, max_frames));
    new_frames.push_back(read_new_frames(c, fresh.back()));
    is_all = is_all && static_cast<std::int64_t>(new_frames.back().slots.size()) < max_frames;
  }
  if (is_all) {
    const double exponent = checked_beta(*sampler_, beta);
    sampler_->check_can_draw(rows_, span(), out.batch_size);
    fill(exponent, out);
  }
  for (std::size_t c = 0; c < fresh.size(); ++c) mirrors_[c].mark(fresh[c]);
  return is_all;
}

void ReplayBuffer::restart_mirrors() {
  const auto locked = lock();
  mirrors_.clear();
}

NewFrames ReplayBuffer::read_new_frames(std::size_t obs, std::span<const FrameMirror::Fresh> fresh) const {
  const FrameMirror& mirror = mirrors_[obs];
  NewFrames found{mirror.num_slots(), {}, {}};
  for (const FrameMirror::Fresh& run : fresh) {
    const FrameLog& log = stacks(run.lane, obs).log();
    for (std::int64_t i = 0; i < run.count; ++i) found.slots.push_back(mirror.slot(run.lane, run.first + i));
    const std::size_t old_size = found.frames.size();
    found.frames.resize(old_size + static_cast<std::size_t>(run.count * log.frame_bytes()));
    log.read(run.first, run.count, found.frames.data() + old_size, nullptr);
  }
  return found;
}

void ReplayBuffer::fill_mirror_slots(std::span<const std::int64_t> slots, const BatchView& out) const {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::int64_t slot = slots[i], lane = rows_.row_in(slot).lane;
    std::int64_t last_slot = slot;
    rows_.fields().window(rows_.lane(lane), last_slot, settings_.n_step, settings_.gamma);
    for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
      const auto obs = static_cast<std::int64_t>(c), to = static_cast<std::int64_t>(i);
      put_mirror_slots(lane, c, rows_.stack(obs, slot), out.obs[c], to);
      put_mirror_slots(lane, c, stacks(lane, c).successor(rows_.stack(obs, last_slot)), out.next_obs[c], to);
    }
  }
}

void ReplayBuffer::put_mirror_slots(std::int64_t lane, std::size_t obs, const Stack& stack, std::byte* out, std::int64_t to) const {
  const StackLane& stack_lane = stacks(lane, obs);
  for (std::int64_t i = 0; i < stack_lane.stack(); ++i) {
    const std::int64_t slot = mirrors_[obs].slot(lane, stack_lane.position_at(stack, i));
    const std::int64_t index = to * stack_lane.stack() + i;
    std::memcpy(out + index * static_cast<std::int64_t>(sizeof(slot)), &slot, sizeof(slot));
  }
}

}  // namespace mujigae
