#include "mujigae/replay/replay_buffer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <vector>

#include "naive_buffer.hpp"
#include "temporary_folder.hpp"

using namespace mujigae;

namespace {

using Prioritized = BufferOf<Proportional>;
const std::vector<ObsLayout> kOneByte = {{1, 1}};

// A buffer and its naive twin, driven side by side by random calls.
template <class S>
class Duel {
 public:
  Duel(const BufferSettings& settings, std::uint64_t seed)
      : settings_(settings), random_(seed), n_step_(settings.n_step), buffer_(settings, {}) {
    std::int64_t largest_stack = 1;
    for (const ObsLayout& layout : settings.obs) largest_stack = std::max(largest_stack, layout.stack);
    for (std::int64_t e = 0; e < settings.num_envs; ++e) {
      environments_.emplace_back(seed * 100 + static_cast<std::uint64_t>(e), settings.obs);
      const std::int64_t share = settings.capacity / settings.num_envs + (e < settings.capacity % settings.num_envs ? 1 : 0);
      lanes_.emplace_back(share, share + settings.n_step - 1 + largest_stack);
    }
  }

  void add() {
    std::vector<std::int64_t> env_ids(lanes_.size());
    std::iota(env_ids.begin(), env_ids.end(), 0);
    std::shuffle(env_ids.begin(), env_ids.end(), random_);
    env_ids.resize(1 + random_() % env_ids.size());
    const auto num_steps = static_cast<std::int64_t>(1 + random_() % 3);
    std::vector<Transition> transitions;
    for (std::int64_t t = 0; t < num_steps; ++t) {
      for (const std::int64_t env : env_ids) {
        NaiveLane& lane = lanes_[static_cast<std::size_t>(env)];
        transitions.push_back(environments_[static_cast<std::size_t>(env)].step(env << 32 | lane.num_rows()));
        lane.add(transitions.back(), n_step_);
      }
    }
    buffer_.add(OwnedSteps(num_steps, env_ids, transitions).view());
  }

  void sample(std::int64_t batch_size) {
    if (buffer_.size() == 0) {
      OwnedBatch batch(1, settings_.obs);
      CHECK_THROWS_AS(buffer_.sample(0.4, batch.view()), std::invalid_argument);
      return;
    }
    OwnedBatch batch(batch_size, settings_.obs);
    buffer_.sample(0.4, batch.view());
    for (std::size_t i = 0; i < batch.key.size(); ++i) check_row(batch, i);
    keys_ = batch.key;
  }

  void update_priorities() {
    if constexpr (kHasPriorities<S>) {
      std::vector<double> priorities;
      std::int64_t num_held = 0;
      for (const std::int64_t key : keys_) {
        priorities.push_back(static_cast<double>(random_() % 5));
        const std::int64_t action = actions_.at(key);
        num_held += (action & 0xffffffff) >= lanes_[static_cast<std::size_t>(action >> 32)].first();
      }
      CHECK(buffer_.update_priorities(keys_, priorities) == num_held);
    }
  }

  void set_n_step(std::int64_t n_step) {
    n_step_ = n_step;
    buffer_.set_n_step(n_step);
    for (NaiveLane& lane : lanes_) lane.evict(n_step);
  }

  void clear() {
    buffer_.clear();
    for (NaiveLane& lane : lanes_) lane.clear();
  }

  void check() const {
    std::int64_t num_ready = 0, num_silent_boundaries = 0;
    for (const NaiveLane& lane : lanes_) {
      num_ready += lane.num_ready(n_step_);
      num_silent_boundaries += lane.num_silent_boundaries();
    }
    REQUIRE(buffer_.size() == num_ready);
    REQUIRE(buffer_.num_silent_boundaries() == num_silent_boundaries);
    REQUIRE(buffer_.why_invalid() == "");
  }

  void play(int num_calls) {
    for (int i = 0; i < num_calls; ++i) {
      const std::uint64_t call = random_() % 100;
      if (call < 60) add();
      if (call >= 60 && call < 80) sample(7);
      if (call >= 80 && call < 90) update_priorities();
      if (call >= 90 && call < 98) set_n_step(static_cast<std::int64_t>(1 + random_() % 6));
      if (call == 98) clear();
      check();
    }
  }

 private:
  void check_row(const OwnedBatch& batch, std::size_t i) {
    const std::int64_t action = batch.action[i];
    const NaiveLane& lane = lanes_.at(static_cast<std::size_t>(action >> 32));
    const std::int64_t row = action & 0xffffffff;
    REQUIRE(lane.is_ready(row, n_step_));
    const std::int64_t last = lane.last_row_of_window(row, n_step_);
    double reward = 0.0, factor = 1.0;
    for (std::int64_t t = row; t <= last; ++t) {
      reward += factor * lane.at(t).step.reward;
      factor *= settings_.gamma;
    }
    const bool terminated = lane.at(last).step.terminated;
    REQUIRE(batch.reward[i] == static_cast<float>(reward));
    REQUIRE(batch.discount[i] == (terminated ? 0.0F : static_cast<float>(factor)));
    REQUIRE(batch.terminated[i] == terminated);
    REQUIRE(batch.weight[i] > 0.0F);
    REQUIRE(batch.weight[i] <= 1.0F);
    for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
      REQUIRE(row_of(batch.obs[c], i, c) == lane.at(row).step.obs[c]);
      REQUIRE(row_of(batch.next_obs[c], i, c) == lane.at(last).step.next_obs[c]);
    }
    REQUIRE(actions_.try_emplace(batch.key[i], action).first->second == action);  // a key never names two rows
  }
  Bytes row_of(const Bytes& bytes, std::size_t i, std::size_t c) const {
    const auto size = static_cast<std::size_t>(settings_.obs[c].bytes());
    return {bytes.begin() + static_cast<std::ptrdiff_t>(i * size), bytes.begin() + static_cast<std::ptrdiff_t>((i + 1) * size)};
  }

  BufferSettings settings_;
  std::mt19937_64 random_;
  std::int64_t n_step_;
  BufferOf<S> buffer_;
  std::vector<RollingEnvironment> environments_;
  std::vector<NaiveLane> lanes_;
  std::vector<std::int64_t> keys_;
  std::map<std::int64_t, std::int64_t> actions_;  // of every key seen
};

template <class S>
void play_duels(std::uint64_t seed) {
  for (const std::int64_t stack : {1, 2, 4}) {
    for (const std::int64_t n_step : {1, 2, 3, 5}) {
      for (const std::int64_t num_envs : {1, 3}) {
        for (const std::int64_t capacity : {num_envs, num_envs * 2 + 1, std::int64_t{40}}) {
          CAPTURE(stack);
          CAPTURE(n_step);
          CAPTURE(num_envs);
          CAPTURE(capacity);
          Duel<S>(settings_of(capacity, num_envs, n_step, {{3, stack}, {2, 1}}), ++seed).play(250);
        }
      }
    }
  }
}

// One lane of one-byte observations that count up: row t goes from t to t + 1.
template <class S>
void add_counting(BufferOf<S>& buffer, std::int64_t row, bool terminated = false, bool truncated = false, std::int64_t env = 0) {
  const auto obs = static_cast<std::byte>(row), next_obs = static_cast<std::byte>(row + 1);
  buffer.add(OwnedSteps(1, {env}, {{{{obs}}, {{next_obs}}, row, static_cast<double>(row), terminated, truncated}}).view());
}

template <class S>
OwnedBatch draw(BufferOf<S>& buffer, std::int64_t batch_size, double beta = 0.4) {
  OwnedBatch batch(batch_size, buffer.obs());
  buffer.sample(beta, batch.view());
  return batch;
}

}  // namespace

TEST_CASE("every prioritized batch is what a naive list of transitions gives, whatever happens in between") { play_duels<Proportional>(0); }

TEST_CASE("every uniform batch is what a naive list of transitions gives, whatever happens in between") { play_duels<Uniform>(1000); }

TEST_CASE_TEMPLATE("every row that can be drawn is drawn, and the oldest ones are gone", S, Uniform, Proportional) {
  BufferOf<S> buffer(settings_of(10, 1, 3, kOneByte), {});
  for (std::int64_t row = 0; row < 30; ++row) add_counting(buffer, row, false, row == 21);
  CHECK(buffer.size() == 10);
  const OwnedBatch batch = draw(buffer, 2000);
  const std::set<std::int64_t> drawn(batch.action.begin(), batch.action.end());
  std::set<std::int64_t> expected;
  for (std::int64_t row = 18; row < 28; ++row) expected.insert(row);  // 28 and 29 wait for their windows
  CHECK(drawn == expected);
}

TEST_CASE_TEMPLATE("a capacity smaller than an episode holds the newest rows of it, capacity 1 included", S, Uniform, Proportional) {
  for (const std::int64_t capacity : {1, 2, 5}) {
    for (const std::int64_t n_step : {1, 4}) {
      BufferOf<S> buffer(settings_of(capacity, 1, n_step, kOneByte), {});
      for (std::int64_t row = 0; row < 100; ++row) add_counting(buffer, row);
      CHECK(buffer.size() == capacity);
      for (const std::int64_t action : draw(buffer, 50).action) {
        CHECK(action <= 100 - n_step);
        CHECK(action > 100 - n_step - capacity);
      }
    }
  }
}

TEST_CASE("a stale key is ignored and not counted, a duplicate counts twice and the last wins") {
  Prioritized buffer(settings_of(4, 1, 1, kOneByte), {});
  add_counting(buffer, 0);
  const std::int64_t old_key = draw(buffer, 1).key[0];
  CHECK(buffer.update_priorities(std::vector{old_key, old_key}, std::vector{5.0, 2.0}) == 2);
  CHECK(buffer.max_priority() == 5.0);
  for (std::int64_t row = 1; row < 8; ++row) add_counting(buffer, row);
  CHECK(buffer.update_priorities(std::vector{old_key}, std::vector{1000.0}) == 0);
  CHECK(buffer.max_priority() == 5.0);
  CHECK(buffer.why_invalid() == "");
}

TEST_CASE("a priority of zero with eps zero is never drawn, and drawn again once it is positive") {
  Proportional::Settings sampler;
  sampler.eps = 0.0;
  Prioritized buffer(settings_of(8, 1, 1, kOneByte), sampler);
  for (std::int64_t row = 0; row < 2; ++row) add_counting(buffer, row);
  const OwnedBatch batch = draw(buffer, 100);
  std::map<std::int64_t, std::int64_t> key_of;
  for (std::size_t i = 0; i < batch.key.size(); ++i) key_of[batch.action[i]] = batch.key[i];
  REQUIRE(key_of.size() == 2);
  buffer.update_priorities(std::vector{key_of[0]}, std::vector{0.0});
  for (const std::int64_t action : draw(buffer, 100).action) CHECK(action == 1);
  buffer.update_priorities(std::vector{key_of[1]}, std::vector{0.0});
  OwnedBatch out(4, kOneByte);
  CHECK_THROWS_AS(buffer.sample(0.4, out.view()), std::invalid_argument);
  buffer.update_priorities(std::vector{key_of[0]}, std::vector{1e-9});
  for (const std::int64_t action : draw(buffer, 100).action) CHECK(action == 0);
}

TEST_CASE("an error in one element of a call changes nothing") {
  Prioritized buffer(settings_of(8, 2, 2, kOneByte), {});
  for (std::int64_t row = 0; row < 5; ++row) add_counting(buffer, row);
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  const TemporaryFolder folder;
  buffer.save(folder / "before", "");
  const auto expect_unchanged = [&] {
    buffer.save(folder / "after", "");
    CHECK(read_file(folder / "before") == read_file(folder / "after"));
  };

  const Transition good{{{std::byte{5}}}, {{std::byte{6}}}, 5, 1.0, false, false};
  Transition bad = good;
  for (const double reward : {nan, infinity, -infinity}) {
    bad.reward = reward;
    CHECK_THROWS_WITH_AS(buffer.add(OwnedSteps(2, {0}, {good, bad}).view()), doctest::Contains("reward[1]"), std::invalid_argument);
  }
  CHECK_THROWS_AS(buffer.add(OwnedSteps(1, {0, 0}, {good, good}).view()), std::invalid_argument);
  CHECK_THROWS_AS(buffer.add(OwnedSteps(1, {0, 2}, {good, good}).view()), std::out_of_range);
  CHECK_THROWS_AS(buffer.add(OwnedSteps(1, {-1}, {good}).view()), std::out_of_range);

  for (const double p : {nan, infinity, -1.0}) {
    CHECK_THROWS_AS(buffer.update_priorities(std::vector<std::int64_t>{0, 1}, std::vector{3.0, p}), std::invalid_argument);
  }
  for (const std::int64_t key : {std::int64_t{-1}, std::int64_t{99}, std::int64_t{1} << 40}) {
    CHECK_THROWS_AS(buffer.update_priorities(std::vector<std::int64_t>{0, key}, std::vector{3.0, 3.0}), std::out_of_range);
  }
  CHECK_THROWS_AS(buffer.update_priorities(std::vector<std::int64_t>{0}, std::vector{3.0, 3.0}), std::invalid_argument);
  CHECK_THROWS_AS(draw(buffer, 4, nan), std::invalid_argument);
  CHECK_THROWS_AS(draw(buffer, 4, -0.1), std::invalid_argument);
  CHECK_THROWS_AS(buffer.set_n_step(0), std::invalid_argument);
  CHECK_THROWS_AS(buffer.set_gamma(1.5), std::invalid_argument);
  CHECK_THROWS_AS(buffer.set_alpha(-1.0), std::invalid_argument);
  CHECK_THROWS_AS(buffer.set_beta(infinity), std::invalid_argument);
  expect_unchanged();
}

TEST_CASE_TEMPLATE("a stack that does not roll is refused, unless the caller vouches", S, Uniform, Proportional) {
  BufferSettings settings = settings_of(8, 1, 1, {{1, 2}});
  const Transition bad{{{std::byte{1}, std::byte{2}}}, {{std::byte{9}, std::byte{3}}}, 0, 0.0, false, false};
  CHECK_THROWS_WITH_AS(BufferOf<S>(settings, {}).add(OwnedSteps(1, {0}, {bad}).view()), doctest::Contains("next_obs[0]"),
                       std::invalid_argument);
  settings.validate = false;
  BufferOf<S> trusting(settings, {});
  for (int i = 0; i < 2; ++i) CHECK_NOTHROW(trusting.add(OwnedSteps(1, {0}, {bad}).view()));
  CHECK(trusting.size() == 2);
  CHECK(trusting.num_silent_boundaries() == 0);
}

TEST_CASE_TEMPLATE("a reset behind our back ends the episode: the row before bootstraps from its own next_obs", S, Uniform, Proportional) {
  BufferOf<S> buffer(settings_of(8, 1, 3, kOneByte), {});
  add_counting(buffer, 0);
  add_counting(buffer, 1);
  add_counting(buffer, 100);
  CHECK(buffer.num_silent_boundaries() == 1);
  CHECK(buffer.size() == 2);
  const OwnedBatch batch = draw(buffer, 20);
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(batch.next_obs[0][i] == std::byte{2});
    CHECK(batch.discount[i] == static_cast<float>(batch.action[i] == 0 ? 0.9 * 0.9 : 0.9));
    CHECK(batch.reward[i] == static_cast<float>(batch.action[i] == 0 ? 0.9 : 1.0));
  }
}

TEST_CASE_TEMPLATE("an n_step beyond every row only waits for the episode's end", S, Uniform, Proportional) {
  for (const std::int64_t n_step : {std::int64_t{100}, std::int64_t{1} << 30}) {
    BufferOf<S> buffer(settings_of(16, 1, 1, kOneByte), {});
    buffer.set_n_step(n_step);
    for (std::int64_t row = 0; row < 5; ++row) add_counting(buffer, row);
    CHECK(buffer.size() == 0);
    add_counting(buffer, 5, false, true);
    CHECK(buffer.size() == 6);
    CHECK(buffer.why_invalid() == "");
    const TemporaryFolder folder;
    buffer.save(folder / "snapshot", "");
    BufferOf<S> loaded(settings_of(16, 1, 1, kOneByte), {});
    CHECK_NOTHROW(loaded.load(folder / "snapshot"));
    CHECK(loaded.n_step() == n_step);
  }
}

TEST_CASE_TEMPLATE("an n_step that no key or counter can hold is refused", S, Uniform, Proportional) {
  BufferOf<S> buffer(settings_of(16, 1, 1, kOneByte), {});
  CHECK_THROWS_AS(buffer.set_n_step(INT64_MAX), std::invalid_argument);
  CHECK_THROWS_AS(BufferOf<S>(settings_of(16, 1, INT64_MAX, kOneByte), {}), std::invalid_argument);
  CHECK(buffer.n_step() == 1);
}

TEST_CASE_TEMPLATE("settings change between draws, and one that is refused changes nothing", S, Uniform, Proportional) {
  BufferOf<S> buffer(settings_of(64, 1, 1, kOneByte), {});
  for (std::int64_t row = 0; row < 10; ++row) add_counting(buffer, row);
  buffer.set_n_step(2);
  buffer.set_gamma(0.5);
  CHECK_THROWS_AS(buffer.set_n_step(0), std::invalid_argument);
  CHECK_THROWS_AS(buffer.set_gamma(1.5), std::invalid_argument);
  CHECK(buffer.n_step() == 2);
  CHECK(buffer.gamma() == 0.5);
  CHECK(buffer.size() == 9);
  const OwnedBatch batch = draw(buffer, 20);
  for (std::size_t i = 0; i < 20; ++i) CHECK(batch.reward[i] == static_cast<float>(batch.action[i]) * 1.5F + 0.5F);
  if constexpr (kHasPriorities<S>) {
    buffer.set_alpha(0.9);
    buffer.set_beta(0.7);
    CHECK_THROWS_AS(buffer.set_alpha(-1.0), std::invalid_argument);
    CHECK_THROWS_AS(buffer.set_beta(-1.0), std::invalid_argument);
    CHECK(buffer.alpha() == 0.9);
    CHECK(buffer.beta() == 0.7);
  }
  CHECK(buffer.why_invalid() == "");
}

TEST_CASE_TEMPLATE("same seed and same calls give the same batches, and another seed others", S, Uniform, Proportional) {
  std::vector<OwnedBatch> batches;
  for (const std::uint64_t seed : {1, 1, 2}) {
    BufferSettings settings = settings_of(64, 1, 1, kOneByte);
    settings.key = {seed, 0};
    BufferOf<S> buffer(settings, {});
    for (std::int64_t row = 0; row < 50; ++row) add_counting(buffer, row);
    batches.push_back(draw(buffer, 32));
  }
  CHECK(batches[0] == batches[1]);
  CHECK(batches[0].key != batches[2].key);
}

TEST_CASE_TEMPLATE("memory in use stops growing once the buffer is full", S, Uniform, Proportional) {
  BufferOf<S> buffer(settings_of(100, 2, 3, {{500, 4}}), {});
  std::vector<RollingEnvironment> environments;
  for (std::uint64_t e = 0; e < 2; ++e) environments.emplace_back(e, buffer.obs());
  std::int64_t largest = 0;
  for (std::int64_t t = 0; t < 2000; ++t) {
    for (std::int64_t e = 0; e < 2; ++e) {
      buffer.add(OwnedSteps(1, {e}, {environments[static_cast<std::size_t>(e)].step(t)}).view());
    }
    largest = std::max(largest, buffer.nbytes());
  }
  CHECK(largest < 2 * (4 * 56 + 40) * 500);  // at worst k frames for each row, were every row its own episode
}
