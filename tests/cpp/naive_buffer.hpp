// The replay buffer, written out without any cleverness: a list of complete transitions for each lane. And where they come from:
// environments with every kind of first stack, of ending, and of reset behind the buffer's back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "mujigae/replay/replay_buffer.hpp"
#include "mujigae/sampling/proportional.hpp"
#include "mujigae/sampling/uniform.hpp"

namespace mujigae {

// A buffer with a sampler of this type.
template <class S>
struct BufferOf : ReplayBuffer {
  explicit BufferOf(const BufferSettings& settings, const typename S::Settings& sampler = {}, std::unique_ptr<MappedFile> file = nullptr)
      : ReplayBuffer(settings, S::plan(sampler), std::move(file)) {}
};

template <class S>
constexpr bool kHasPriorities = !std::is_same_v<S, Uniform>;

using Bytes = std::vector<std::byte>;

struct Transition {
  std::vector<Bytes> obs, next_obs;  // one for each observation
  std::int64_t action;               // unlike any other's
  double reward;
  bool terminated, truncated;
};

class RollingEnvironment {
 public:
  RollingEnvironment(std::uint64_t seed, const std::vector<ObsLayout>& layouts) : random_(seed), layouts_(layouts) {
    for (const ObsLayout& layout : layouts) obs_.emplace_back(static_cast<std::size_t>(layout.bytes()));
    reset();
  }

  Transition step(std::int64_t action) {
    if (random_() % 12 == 0) reset();  // behind the buffer's back
    Transition step{obs_, {}, action, static_cast<double>(random_() % 1000) * 0.37 - 100.0, random_() % 8 == 0, random_() % 8 == 0};
    for (std::size_t c = 0; c < layouts_.size(); ++c) roll(c);
    step.next_obs = obs_;
    if (step.terminated || step.truncated) reset();
    return step;
  }

 private:
  void roll(std::size_t c) {
    const auto frame_bytes = static_cast<std::ptrdiff_t>(layouts_[c].frame_bytes);
    std::rotate(obs_[c].begin(), obs_[c].begin() + frame_bytes, obs_[c].end());
    randomise(std::span(obs_[c]).last(static_cast<std::size_t>(frame_bytes)));
  }
  void randomise(std::span<std::byte> bytes) {  // few values, so that frames are often equal
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_() % 2);
  }
  void reset() {
    const std::uint64_t kind = random_() % 5;
    for (std::size_t c = 0; c < layouts_.size(); ++c) {
      const auto frame_bytes = static_cast<std::size_t>(layouts_[c].frame_bytes);
      if (kind == 0) std::fill(obs_[c].begin(), obs_[c].end(), std::byte{0});
      if (kind <= 1) roll(c);  // 0: zeros and a frame; 1: continues the stack before
      if (kind == 2) {
        roll(c);  // repeats of one frame
        for (std::size_t at = 0; at < obs_[c].size(); at += frame_bytes) {
          std::memmove(obs_[c].data() + at, obs_[c].data() + obs_[c].size() - frame_bytes, frame_bytes);
        }
      }
      if (kind == 3) randomise(obs_[c]);
    }  // 4: equal to the stack before
  }

  std::mt19937_64 random_;
  std::vector<ObsLayout> layouts_;
  std::vector<Bytes> obs_;
};

class NaiveLane {
 public:
  struct Row {
    Transition step;
    bool ended;
  };

  NaiveLane(std::int64_t capacity, std::int64_t num_slots) : capacity_(capacity), num_slots_(num_slots) {}

  void add(const Transition& step, std::int64_t n_step) {
    if (!rows_.empty() && !rows_.back().ended && rows_.back().step.next_obs != step.obs) {
      rows_.back().ended = true;
      ++num_silent_boundaries_;
    }
    first_ = std::max(first_, num_rows() + 1 - num_slots_);
    rows_.push_back({step, step.terminated || step.truncated});
    evict(n_step);
  }
  void evict(std::int64_t n_step) {
    while (num_ready(n_step) > capacity_) ++first_;
  }
  void clear() {
    if (!rows_.empty()) rows_.back().ended = true;
    first_ = num_rows();
    num_silent_boundaries_ = 0;
  }

  bool is_ready(std::int64_t row, std::int64_t n_step) const {
    if (row < first_ || row >= num_rows()) return false;
    for (std::int64_t i = row; i < row + n_step && i < num_rows(); ++i) {
      if (at(i).ended) return true;
    }
    return row + n_step <= num_rows();
  }
  std::int64_t num_ready(std::int64_t n_step) const {
    std::int64_t count = 0;
    for (std::int64_t row = first_; row < num_rows(); ++row) count += is_ready(row, n_step);
    return count;
  }
  std::int64_t last_row_of_window(std::int64_t row, std::int64_t n_step) const {
    std::int64_t last = row;
    while (!at(last).ended && last < row + n_step - 1) ++last;
    return last;
  }

  const Row& at(std::int64_t row) const { return rows_.at(static_cast<std::size_t>(row)); }
  std::int64_t first() const { return first_; }
  std::int64_t num_rows() const { return static_cast<std::int64_t>(rows_.size()); }
  std::int64_t num_silent_boundaries() const { return num_silent_boundaries_; }

 private:
  std::int64_t capacity_, num_slots_, first_ = 0, num_silent_boundaries_ = 0;
  std::vector<Row> rows_;  // every row ever added
};

struct OwnedBatch {
  std::vector<Bytes> obs, next_obs;
  std::vector<std::int64_t> action, key;
  std::vector<float> reward, discount, weight;
  std::vector<double> probability;
  std::unique_ptr<bool[]> terminated;

  OwnedBatch(std::int64_t batch_size, const std::vector<ObsLayout>& layouts) {
    const auto count = static_cast<std::size_t>(batch_size);
    for (const ObsLayout& layout : layouts) obs.emplace_back(static_cast<std::size_t>(batch_size * layout.bytes()));
    next_obs = obs;
    action.resize(count);
    key.resize(count);
    reward.resize(count);
    discount.resize(count);
    weight.resize(count);
    probability.resize(count);
    terminated = std::make_unique<bool[]>(count);
  }

  std::int64_t size() const { return static_cast<std::int64_t>(key.size()); }
  BatchView view() {
    BatchView view{size(),
                   {},
                   {},
                   reinterpret_cast<std::byte*>(action.data()),
                   reward.data(),
                   discount.data(),
                   terminated.get(),
                   weight.data(),
                   key.data(),
                   probability.data(),
                   {}};
    for (Bytes& bytes : obs) view.obs.push_back(bytes.data());
    for (Bytes& bytes : next_obs) view.next_obs.push_back(bytes.data());
    return view;
  }
  bool operator==(const OwnedBatch& other) const {
    return obs == other.obs && next_obs == other.next_obs && action == other.action && key == other.key && reward == other.reward &&
           discount == other.discount && weight == other.weight && probability == other.probability &&
           std::equal(terminated.get(), terminated.get() + size(), other.terminated.get());
  }
};

// Transitions [T, E] as one call of add takes them.
struct OwnedSteps {
  std::int64_t num_steps;
  std::vector<std::int64_t> env_ids;
  std::vector<Bytes> obs, next_obs;
  std::vector<std::int64_t> action;
  std::vector<double> reward;
  std::unique_ptr<bool[]> terminated, truncated;

  OwnedSteps(std::int64_t num_steps_, std::vector<std::int64_t> env_ids_, const std::vector<Transition>& transitions)
      : num_steps(num_steps_),
        env_ids(std::move(env_ids_)),
        terminated(std::make_unique<bool[]>(transitions.size())),
        truncated(std::make_unique<bool[]>(transitions.size())) {
    obs.resize(transitions.front().obs.size());
    next_obs.resize(obs.size());
    for (std::size_t i = 0; i < transitions.size(); ++i) {
      const Transition& step = transitions[i];
      for (std::size_t c = 0; c < obs.size(); ++c) {
        obs[c].insert(obs[c].end(), step.obs[c].begin(), step.obs[c].end());
        next_obs[c].insert(next_obs[c].end(), step.next_obs[c].begin(), step.next_obs[c].end());
      }
      action.push_back(step.action);
      reward.push_back(step.reward);
      terminated[i] = step.terminated;
      truncated[i] = step.truncated;
    }
  }

  StepsView view() const {
    StepsView view{num_steps,        env_ids,        {}, {}, reinterpret_cast<const std::byte*>(action.data()), reward.data(),
                   terminated.get(), truncated.get()};
    for (const Bytes& bytes : obs) view.obs.push_back(bytes.data());
    for (const Bytes& bytes : next_obs) view.next_obs.push_back(bytes.data());
    return view;
  }
};

inline BufferSettings settings_of(std::int64_t capacity, std::int64_t num_envs, std::int64_t n_step, std::vector<ObsLayout> layouts) {
  return {capacity, num_envs, n_step, 0.9, std::move(layouts), sizeof(std::int64_t), true, {11, 22}};
}

}  // namespace mujigae
