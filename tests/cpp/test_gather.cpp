#include "mujigae/replay/gather.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"

using namespace mujigae;

namespace {

// Large batches are put together by threads as well, and past the caches.
template <class S>
void check_batches(bool compress) {
  const std::vector<ObsLayout> layouts = {{3000, 3}, {40, 1}};
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

}  // namespace

TEST_CASE_TEMPLATE("a batch of any size has the frames of its rows", S, Uniform, Proportional) {
  for (const bool compress : {false, true}) check_batches<S>(compress);
}
