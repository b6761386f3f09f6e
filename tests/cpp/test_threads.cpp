// For the thread sanitizer to judge: a writer for each environment, and readers and updaters beside them.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "mujigae/replay_buffer.hpp"
#include "naive_buffer.hpp"

using namespace mujigae;

namespace {

constexpr std::int64_t kNumEnvs = 4, kNumSteps = 400, kBatch = 16;
const std::vector<ObsLayout> kLayouts = {{8, 2}};

// Environment e counts up from e * 2^32; a stack is (frame - 1, frame), the action is the frame.
Transition counting(std::int64_t env, std::int64_t t) {
  const std::int64_t at = (env << 32) + t + 1, frames[] = {at - 1, at, at + 1};
  const auto* bytes = reinterpret_cast<const std::byte*>(frames);
  return {{Bytes(bytes, bytes + 16)}, {Bytes(bytes + 8, bytes + 24)}, at, 1.0, t % 70 == 69, t % 50 == 49};
}

int num_wrong_rows(const OwnedBatch& batch) {
  int num_wrong = 0;
  for (std::size_t i = 0; i < kBatch; ++i) {
    std::int64_t obs[2], next_obs[2];
    std::memcpy(obs, batch.obs[0].data() + 16 * i, 16);
    std::memcpy(next_obs, batch.next_obs[0].data() + 16 * i, 16);
    const std::int64_t steps = next_obs[1] - obs[1];
    num_wrong += obs[1] != batch.action[i] || obs[0] != obs[1] - 1 || next_obs[0] != next_obs[1] - 1 || steps < 1 || steps > 3;
  }
  return num_wrong;
}

template <Sampler S>
void write_and_read_at_once() {
  ReplayBuffer<S> buffer(settings_of(100, kNumEnvs, 3, kLayouts), {});
  for (std::int64_t e = 0; e < kNumEnvs; ++e) {
    for (std::int64_t t = 0; t < 10; ++t) buffer.add(OwnedSteps(1, {e}, {counting(e, t)}).view());
  }
  std::atomic<std::int64_t> num_writing = kNumEnvs;
  std::atomic<int> num_wrong = 0;
  const auto write = [&](std::int64_t env) {
    for (std::int64_t t = 10; t < kNumSteps; ++t) buffer.add(OwnedSteps(1, {env}, {counting(env, t)}).view());
    --num_writing;
  };
  const auto read = [&](bool updates) {
    while (num_writing > 0) {
      OwnedBatch batch(kBatch, kLayouts);
      buffer.sample(0.5, batch.view());
      num_wrong += num_wrong_rows(batch);
      if constexpr (S::kHasPriorities) {
        if (updates) buffer.update_priorities(batch.key, std::vector<double>(kBatch, 2.0));
      }
    }
  };
  std::vector<std::thread> threads;
  for (std::int64_t e = 0; e < kNumEnvs; ++e) threads.emplace_back(write, e);
  for (const bool updates : {false, false, true, true}) threads.emplace_back(read, updates);
  for (std::thread& thread : threads) thread.join();
  CHECK(num_wrong == 0);
  CHECK(buffer.num_added() == kNumEnvs * kNumSteps);
  CHECK(buffer.num_silent_boundaries() == 0);
  CHECK(buffer.why_invalid() == "");
}

}  // namespace

TEST_CASE("a writer for each environment, two samplers and two updaters of priorities may run at once") {
  write_and_read_at_once<PrioritizedSampler>();
}

TEST_CASE("a writer for each environment and four samplers may run at once") { write_and_read_at_once<UniformSampler>(); }
