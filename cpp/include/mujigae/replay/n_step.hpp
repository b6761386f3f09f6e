// n-step returns that never cross an episode (Sutton 1988; Hessel et al. 2018).
//
//   window of step t:   r_t + gamma r_{t+1} + ... + gamma^{m-1} r_{t+m-1},   discount = gamma^m (1 - terminated)
//   m = n, or fewer when the episode ends first. target = reward + discount x bootstrap(next_obs at the window's end).
//
// Sums are float64, added in order, with gamma^i by repeated multiplication; the caller rounds once to float32. So that every sum fits,
// a reward is at most the n-th part of the largest float32, either way.
// Threads: none; the owner locks.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace mujigae {

struct StepOutcome {
  double reward;
  bool terminated;
  bool ended;  // terminated, truncated, or the stream was interrupted after this step
};

struct Window {
  double reward = 0.0;
  double discount = 1.0;
  std::int64_t num_steps = 0;
  bool terminated = false;
};

// The window that starts at outcome_of(0). outcome_of is called once for each step of the window, and for no other.
template <class OutcomeOf>
Window n_step_window(std::int64_t n_step, double gamma, const OutcomeOf& outcome_of) {
  Window window;
  while (window.num_steps < n_step) {
    const StepOutcome step = outcome_of(window.num_steps);
    window.reward += window.discount * step.reward;
    window.discount *= gamma;
    ++window.num_steps;
    window.terminated = step.terminated;
    if (step.ended) break;
  }
  if (window.terminated) window.discount = 0.0;
  return window;
}

// The streaming form, for agents that store transitions themselves: one lane for each environment.
class NStepAccumulator {
 public:
  struct Completed {
    std::int64_t env;
    std::int64_t steps_ago;  // the window started that many steps before this one
    Window window;
  };

  NStepAccumulator(std::int64_t n_step, double gamma, std::int64_t num_envs);

  // One step of each named environment; returns the windows that it completed, oldest start first within an environment.
  std::vector<Completed> push(std::span<const double> reward, std::span<const bool> terminated, std::span<const bool> truncated,
                              std::span<const std::int64_t> env_ids);
  void clear();

  std::int64_t n_step() const { return n_step_; }
  double gamma() const { return gamma_; }
  std::int64_t num_envs() const { return static_cast<std::int64_t>(lanes_.size()); }
  std::string why_invalid() const;

 private:
  std::int64_t n_step_;
  double gamma_;
  std::vector<std::deque<StepOutcome>> lanes_;  // the steps whose window is open; at most n - 1 between calls
};

constexpr std::int64_t kMaxNStep = std::int64_t{1} << 30;

// The largest reward, either way, of which n have a sum that float32 holds.
inline double max_reward(std::int64_t n_step) {
  return static_cast<double>(std::numeric_limits<float>::max()) / static_cast<double>(n_step);
}

void check_n_step(std::int64_t n_step);
void check_rewards(std::span<const double> rewards, std::int64_t n_step);
void check_gamma(double gamma);
// Each id once, 0 <= id < num_envs.
void check_env_ids(std::span<const std::int64_t> env_ids, std::int64_t num_envs);

}  // namespace mujigae
