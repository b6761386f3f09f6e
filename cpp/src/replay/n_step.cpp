#include "mujigae/replay/n_step.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "mujigae/check.hpp"
#include "mujigae/storage/available_memory.hpp"

namespace mujigae {

void check_n_step(std::int64_t n_step) {
  if (n_step < 1 || n_step > kMaxNStep) fail_value("n_step: expected 1 to ", kMaxNStep, ", got ", n_step);
}

void check_gamma(double gamma) {
  if (!(gamma >= 0.0 && gamma <= 1.0)) fail_value("gamma: expected a number from 0 to 1, got ", gamma);
}

void check_rewards(std::span<const double> rewards, std::int64_t n_step) {
  const double most = max_reward(n_step);
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    if (std::abs(rewards[i]) <= most) continue;
    if (!std::isfinite(rewards[i])) fail_value("reward[", i, "]: expected a finite number, got ", rewards[i]);
    fail_value("reward[", i, "]: expected at most ", most, " either way, so that float32 holds the sum of ", n_step, " rewards, got ",
               rewards[i]);
  }
}

void check_env_ids(std::span<const std::int64_t> env_ids, std::int64_t num_envs) {
  const bool rise = std::adjacent_find(env_ids.begin(), env_ids.end(), std::greater_equal<>()) == env_ids.end();
  if (rise && (env_ids.empty() || (env_ids.front() >= 0 && env_ids.back() < num_envs))) return;  // nearly always: no table is needed
  std::vector<bool> is_taken(static_cast<std::size_t>(num_envs));
  for (std::size_t i = 0; i < env_ids.size(); ++i) {
    if (env_ids[i] < 0 || env_ids[i] >= num_envs) {
      fail_index("env_ids[", i, "]: expected 0 <= id < ", num_envs, ", got ", env_ids[i]);
    }
    const auto id = static_cast<std::size_t>(env_ids[i]);
    if (is_taken[id]) fail_value("env_ids[", i, "]: expected each id once, got ", env_ids[i], " again");
    is_taken[id] = true;
  }
}

NStepAccumulator::NStepAccumulator(std::int64_t n_step, double gamma, std::int64_t num_envs) : n_step_(n_step), gamma_(gamma) {
  check_n_step(n_step);
  check_gamma(gamma);
  if (num_envs < 1) fail_value("num_envs: expected at least 1, got ", num_envs);
  if (num_envs > std::int64_t{1} << 31) fail_value("num_envs: expected at most 2^31, got ", num_envs);
  constexpr std::int64_t kLaneBytes = 768;  // of an empty one: an upper bound
  check_memory("num_envs", num_envs * kLaneBytes);
  lanes_.resize(static_cast<std::size_t>(num_envs));
}

std::vector<NStepAccumulator::Completed> NStepAccumulator::push(std::span<const double> reward, std::span<const bool> terminated,
                                                                std::span<const bool> truncated, std::span<const std::int64_t> env_ids) {
  check_env_ids(env_ids, num_envs());
  check_rewards(reward, n_step_);
  std::vector<Completed> completed;
  for (std::size_t i = 0; i < env_ids.size(); ++i) {
    auto& lane = lanes_[static_cast<std::size_t>(env_ids[i])];
    const bool ended = terminated[i] || truncated[i];
    lane.push_back({reward[i], terminated[i], ended});
    while (!lane.empty() && (ended || static_cast<std::int64_t>(lane.size()) == n_step_)) {
      const auto outcome_of = [&lane](std::int64_t step) { return lane[static_cast<std::size_t>(step)]; };
      completed.push_back({env_ids[i], static_cast<std::int64_t>(lane.size()) - 1, n_step_window(n_step_, gamma_, outcome_of)});
      lane.pop_front();
    }
  }
  return completed;
}

void NStepAccumulator::clear() {
  for (auto& lane : lanes_) lane.clear();
}

std::string NStepAccumulator::why_invalid() const {
  for (std::size_t env = 0; env < lanes_.size(); ++env) {
    if (static_cast<std::int64_t>(lanes_[env].size()) >= n_step_) return concat("environment ", env, " holds a complete window");
    for (const StepOutcome& step : lanes_[env]) {
      if (step.ended) return concat("environment ", env, " holds a step of an episode that ended");
    }
  }
  return {};
}

}  // namespace mujigae
