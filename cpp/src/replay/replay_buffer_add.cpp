// Rows come into a ReplayBuffer, and the oldest ones go. Everything that the caller gave is checked before anything changes.
#include <algorithm>
#include <cstring>

#include "mujigae/check.hpp"
#include "mujigae/copied.hpp"
#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae {

// Rewards, priorities and flags of the caller's steps, as they were when add began.
struct ReplayBuffer::Outcomes {
  explicit Outcomes(const StepsView& steps) : Outcomes(steps, static_cast<std::size_t>(steps.num_steps) * steps.env_ids.size()) {}
  Outcomes(const StepsView& steps, std::size_t count)
      : reward(steps.reward, count),
        priority(steps.priority, steps.priority == nullptr ? 0 : count),
        terminated(steps.terminated, count),
        truncated(steps.truncated, count) {}

  const Copied<double> reward, priority;
  const Copied<bool> terminated, truncated;
};

struct ReplayBuffer::RowPointers {
  const StepsView& steps;
  const Outcomes& outcomes;
  const std::vector<ObsLayout>& layouts;
  std::int64_t index;  // in [0, T x E)

  const std::byte* obs(std::size_t c) const { return steps.obs[c] + index * layouts[c].bytes(); }
  const std::byte* next_obs(std::size_t c) const { return steps.next_obs[c] + index * layouts[c].bytes(); }
  const std::byte* newest_frame(std::size_t c) const { return next_obs(c) + layouts[c].bytes() - layouts[c].frame_bytes; }
  double reward() const { return outcomes.reward[static_cast<std::size_t>(index)]; }
  const std::byte* extra(std::size_t x, std::int64_t bytes) const { return steps.extras[x] + index * bytes; }
  std::optional<double> priority() const {
    if (steps.priority == nullptr) return std::nullopt;
    return outcomes.priority[static_cast<std::size_t>(index)];
  }
  std::uint8_t flags() const {  // both at once: terminated wins
    if (outcomes.terminated[static_cast<std::size_t>(index)]) return RowRing::kTerminated;
    return outcomes.truncated[static_cast<std::size_t>(index)] ? std::uint8_t{RowRing::kTruncated} : std::uint8_t{0};
  }
};

void ReplayBuffer::add(const StepsView& steps) {
  constexpr std::int64_t kRowsOfCommit = 256;  // more rows at once take no less time
  const Outcomes outcomes(steps);
  const auto locked = lock();
  check(steps, outcomes);
  const auto num_envs = static_cast<std::int64_t>(steps.env_ids.size());
  const std::int64_t most_steps = std::max<std::int64_t>(kRowsOfCommit / std::max<std::int64_t>(num_envs, 1), 1);
  for (std::int64_t t = 0; t < steps.num_steps; t += most_steps) {
    add_steps(steps, outcomes, t, std::min(t + most_steps, steps.num_steps));
  }
}

void ReplayBuffer::add_steps(const StepsView& steps, const Outcomes& outcomes, std::int64_t begin, std::int64_t end) {
  struct Commit {  // of the steps that were added, too where there is no memory for the next one; room for it is reserved
    Sampler& sampler;
    ~Commit() { sampler.commit(); }
  };
  const Commit commit{*sampler_};
  const auto num_envs = static_cast<std::int64_t>(steps.env_ids.size());
  for (std::int64_t t = begin; t < end; ++t) {
    for (const std::int64_t env : steps.env_ids) {
      for (std::size_t c = 0; c < settings_.obs.size(); ++c) stacks(env, c).reserve(settings_.obs[c].stack + 1);
    }
    sampler_->reserve(num_envs * (2 * std::min(settings_.n_step, rows_.lane(0).slots) + 4));  // no lane is longer than the first
    for (std::int64_t i = 0; i < num_envs; ++i) {
      add_row(steps.env_ids[static_cast<std::size_t>(i)], {steps, outcomes, settings_.obs, t * num_envs + i});
    }
  }
}

void ReplayBuffer::check(const StepsView& steps, const Outcomes& outcomes) const {
  check_env_ids(steps.env_ids, settings_.num_envs);
  check_rewards(outcomes.reward, settings_.n_step);
  const std::int64_t num_rows = steps.num_steps * static_cast<std::int64_t>(steps.env_ids.size());
  for (std::int64_t row = 0; settings_.validate && row < num_rows; ++row) check_stack_rolls({steps, outcomes, settings_.obs, row});
  if (steps.priority != nullptr) sampler_->check_priorities("priority", outcomes.priority);
}

void ReplayBuffer::check_stack_rolls(const RowPointers& row) const {
  for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
    const ObsLayout& layout = settings_.obs[c];
    const auto overlap = static_cast<std::size_t>(layout.bytes() - layout.frame_bytes);
    if (std::memcmp(row.next_obs(c), row.obs(c) + layout.frame_bytes, overlap) == 0) continue;
    fail_value("next_obs[", row.index, "]: expected its first ", layout.stack - 1, " frames to be the last ", layout.stack - 1,
               " of obs (frame_stack ", layout.stack, "), got other frames");
  }
}

bool ReplayBuffer::is_interrupted(std::int64_t lane, const RowPointers& row) const {
  if (!settings_.validate) return false;
  for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
    if (!stacks(lane, c).equals_current(row.obs(c))) return true;
  }
  return false;
}

void ReplayBuffer::count_reset_step(std::int64_t lane, const RowPointers& row) {
  std::int64_t& count = num_reset_steps_[static_cast<std::size_t>(lane)];
  if (count < 0) return;
  bool leads_elsewhere = false;
  for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
    leads_elsewhere |= std::memcmp(row.obs(c), row.next_obs(c), static_cast<std::size_t>(settings_.obs[c].bytes())) != 0;
  }
  const bool is_alike = leads_elsewhere && row.reward() == 0.0 && row.flags() == 0 && !is_interrupted(lane, row);
  count = is_alike ? count + 1 : -1;
  most_reset_steps_ = std::max(most_reset_steps_, count);
}

void ReplayBuffer::end_episodes(std::optional<std::span<const std::int64_t>> env_ids) {
  const auto locked = lock();
  if (env_ids) check_env_ids(*env_ids, settings_.num_envs);
  const std::int64_t count = env_ids ? static_cast<std::int64_t>(env_ids->size()) : rows_.num_lanes();
  sampler_->reserve(count * (2 * std::min(settings_.n_step, rows_.lane(0).slots) + 4));  // as in add
  for (std::int64_t i = 0; i < count; ++i) end_episode(env_ids ? (*env_ids)[static_cast<std::size_t>(i)] : i);
  sampler_->commit();
}

void ReplayBuffer::end_episode(std::int64_t lane_index) {
  Lane& lane = rows_.lane(lane_index);
  if (!lane.has_open_episode()) return;
  const std::int64_t old_ready_end = lane.ready_end(span());
  rows_.interrupt(lane_index);
  announce_ready(lane_index, old_ready_end);
  while (lane.num_ready(span()) > lane.capacity) evict_oldest(lane_index);
}

void ReplayBuffer::add_row(std::int64_t lane_index, const RowPointers& row) {
  Lane& lane = rows_.lane(lane_index);
  const std::int64_t old_ready_end = lane.ready_end(span());
  if (lane.has_open_episode() && is_interrupted(lane_index, row)) {
    rows_.interrupt(lane_index);
    ++num_silent_boundaries_;
  }
  if (lane.num_held() == lane.slots) evict_oldest(lane_index);
  const bool starts_episode = !lane.has_open_episode();
  if (settings_.validate && starts_episode && lane.num_held() > 0) count_reset_step(lane_index, row);
  const std::int64_t slot = lane.slot(lane.next);
  for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
    StackLane& stack_lane = stacks(lane_index, c);
    rows_.stack(static_cast<std::int64_t>(c), slot) = starts_episode ? stack_lane.start(row.obs(c)) : stack_lane.current();
    stack_lane.append(row.newest_frame(c));
  }
  for (std::size_t x = 0; x < rows_.num_extras(); ++x) {
    std::memcpy(rows_.extra(x, slot), row.extra(x, rows_.extra_bytes(x)), static_cast<std::size_t>(rows_.extra_bytes(x)));
  }
  rows_.append(lane_index, row.reward(), row.flags(), row.steps.action + row.index * settings_.action_bytes);
  sampler_->write(slot, row.priority());
  announce_ready(lane_index, old_ready_end);
  while (lane.num_ready(span()) > lane.capacity) evict_oldest(lane_index);
  ++num_added_;
}

void ReplayBuffer::evict_oldest(std::int64_t lane_index) {
  Lane& lane = rows_.lane(lane_index);
  lane.begins_episode = rows_.flags(lane.slot(lane.first)) != 0;
  sampler_->leave(lane.slot(lane.first++));
  for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
    const Stack& oldest = rows_.stack(static_cast<std::int64_t>(c), lane.slot(lane.first));  // a lane never evicts its last row
    if (stacks(lane_index, c).frees_before(oldest.oldest())) ahead_.finish();
    stacks(lane_index, c).drop_before(oldest.oldest());
  }
}

void ReplayBuffer::announce_ready(std::int64_t lane_index, std::int64_t old_ready_end) {
  Lane& lane = rows_.lane(lane_index);
  for (std::int64_t row = std::max(old_ready_end, lane.first); row < lane.ready_end(span()); ++row) {
    sampler_->enter(lane.slot(row));
  }
  lane.issued_end = std::max(lane.issued_end, lane.ready_end(span()));
}

}  // namespace mujigae
