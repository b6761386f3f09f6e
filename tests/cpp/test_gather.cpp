#include "mujigae/replay/gather.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"

using namespace mujigae;

namespace {

// Large batches are put together by threads as well, and past the caches.
template <class S>
void check_batches(const std::vector<ObsLayout>& layouts, bool compress) {
  BufferSettings settings = settings_of(20, 1, 1, layouts);
  settings.compress = compress;
  BufferOf<S> buffer(settings, {});
  RollingEnvironment environment(4, layouts);
  std::vector<Transition> steps;
  for (std::int64_t t = 0; t < 30; ++t) {
    steps.push_back(environment.step(t));
    buffer.add(OwnedSteps(1, {0}, {steps.back()}).view());
  }
  for (const std::int64_t size : {1, 20, 64, 65, 300}) {  // 18 KB a row: from 1 MiB on there are threads
    OwnedBatch batch(size, layouts);
    buffer.sample(0.4, batch.view());
    std::size_t num_wrong = 0;
    for (std::size_t i = 0; i < batch.key.size(); ++i) {
      const Transition& step = steps.at(static_cast<std::size_t>(batch.action[i]));
      for (std::size_t c = 0; c < layouts.size(); ++c) {
        const auto at = static_cast<std::ptrdiff_t>(i) * layouts[c].bytes();
        num_wrong += !std::equal(step.obs[c].begin(), step.obs[c].end(), batch.obs[c].begin() + at);
        num_wrong += !std::equal(step.next_obs[c].begin(), step.next_obs[c].end(), batch.next_obs[c].begin() + at);
      }
    }
    CHECK(num_wrong == 0);
  }
}

// Frame number t of a lane.
void write_frame(std::span<std::int64_t> frame, std::int64_t lane, std::int64_t t) {
  std::fill(frame.begin(), frame.end(), lane << 32 | t);
}

}  // namespace

TEST_CASE("frames of many lanes that share large pages stay apart while old ones go, and after clear") {
  constexpr std::int64_t kLanes = 3, kRows = 60'000, kWords = 75;  // 36 MB
  BufferSettings settings = settings_of(kRows, kLanes, 2, {{8 * kWords, 1}});
  settings.validate = false;
  BufferOf<Uniform> buffer(settings);
  std::array<std::int64_t, kWords> obs, next_obs;
  constexpr double kReward = 1.0;
  constexpr bool kFlag = false;
  const auto add = [&](std::int64_t lane, std::int64_t t) {
    write_frame(obs, lane, t);
    write_frame(next_obs, lane, t + 1);
    StepsView step{1, std::span(&lane, 1), {}, {}, reinterpret_cast<const std::byte*>(&t), &kReward, &kFlag, &kFlag};
    step.obs = {reinterpret_cast<const std::byte*>(obs.data())};
    step.next_obs = {reinterpret_cast<const std::byte*>(next_obs.data())};
    buffer.add(step);
  };
  for (int round = 0; round < 2; ++round) {
    for (std::int64_t t = 0; t < kRows; ++t) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) add(lane, t);
    }
    OwnedBatch batch(3000, settings.obs);
    buffer.sample(std::nullopt, batch.view());
    std::size_t num_wrong = 0;
    for (std::size_t i = 0; i < batch.key.size(); ++i) {
      const auto* const at = reinterpret_cast<const std::int64_t*>(batch.obs[0].data()) + i * kWords;
      const auto* const next = reinterpret_cast<const std::int64_t*>(batch.next_obs[0].data()) + i * kWords;
      num_wrong += (at[0] & 0xFFFFFFFF) != batch.action[i] || std::count(at, at + kWords, at[0]) != kWords;
      num_wrong += std::count(next, next + kWords, at[0] + 2) != kWords;
    }
    CHECK(num_wrong == 0);
    CHECK(buffer.nbytes() < 45'000'000);
    buffer.clear();
    CHECK(buffer.nbytes() < 5'000'000);
  }
}

TEST_CASE_TEMPLATE("a batch of any size has the frames of its rows", S, Uniform, Proportional) {
  for (const bool compress : {false, true}) check_batches<S>({{3000, 3}, {40, 1}}, compress);
}

TEST_CASE_TEMPLATE("so has one whose observations are single frames", S, Uniform, Proportional) {
  for (const std::int64_t bytes : {1, 4, 8, 16, 17, 68, 256, 257, 4095, 4096}) check_batches<S>({{bytes, 1}, {12, 1}}, false);
  check_batches<S>({{5000, 1}}, true);
}
