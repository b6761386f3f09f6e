// For the thread sanitizer to judge: a writer for each environment, and readers and updaters beside them.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"
#include "temporary_folder.hpp"

using namespace mujigae;

namespace {

constexpr std::int64_t kNumEnvs = 4, kNumSteps = 400, kBatch = 16;

// Environment e counts up from e * 2^32; a stack is (frame - 1, frame), the action is the frame, every word of a frame the same.
Transition counting(std::int64_t env, std::int64_t t, std::size_t frame_words) {
  const std::int64_t at = (env << 32) + t + 1;
  std::vector<std::int64_t> words;
  for (std::int64_t frame = at - 1; frame <= at + 1; ++frame) words.insert(words.end(), frame_words, frame);
  const auto* bytes = reinterpret_cast<const std::byte*>(words.data());
  const std::size_t frame_bytes = 8 * frame_words;
  return {
      {Bytes(bytes, bytes + 2 * frame_bytes)}, {Bytes(bytes + frame_bytes, bytes + 3 * frame_bytes)}, at, 1.0, t % 70 == 69, t % 50 == 49};
}

// The one value of each frame of a stack; -1 for a frame of several.
std::vector<std::int64_t> frames_of(const Bytes& stacks, std::size_t row, std::size_t frame_words) {
  std::vector<std::int64_t> words(2 * frame_words), frames;
  std::memcpy(words.data(), stacks.data() + row * 16 * frame_words, 16 * frame_words);
  for (auto frame = words.begin(); frame != words.end(); frame += static_cast<std::ptrdiff_t>(frame_words)) {
    const auto end = frame + static_cast<std::ptrdiff_t>(frame_words);
    frames.push_back(std::count(frame, end, *frame) == end - frame ? *frame : -1);
  }
  return frames;
}

int num_wrong_rows(const OwnedBatch& batch, std::size_t frame_words) {
  int num_wrong = 0;
  for (std::size_t i = 0; i < kBatch; ++i) {
    const auto obs = frames_of(batch.obs[0], i, frame_words), next_obs = frames_of(batch.next_obs[0], i, frame_words);
    const std::int64_t steps = next_obs[1] - obs[1];
    num_wrong += obs[1] != batch.action[i] || obs[0] != obs[1] - 1 || next_obs[0] != next_obs[1] - 1 || steps < 1 || steps > 3;
  }
  return num_wrong;
}

template <class S>
void write_and_read_at_once(std::int64_t prefetch = 0, std::size_t frame_words = 1) {
  const std::vector<ObsLayout> layouts = {{static_cast<std::int64_t>(8 * frame_words), 2}};
  BufferSettings settings = settings_of(100, kNumEnvs, 3, layouts);
  settings.prefetch = prefetch;
  BufferOf<S> buffer(settings, {});
  for (std::int64_t e = 0; e < kNumEnvs; ++e) {
    for (std::int64_t t = 0; t < 10; ++t) buffer.add(OwnedSteps(1, {e}, {counting(e, t, frame_words)}).view());
  }
  std::atomic<std::int64_t> num_writing = kNumEnvs;
  std::atomic<int> num_wrong = 0;
  const auto write = [&](std::int64_t env) {
    for (std::int64_t t = 10; t < kNumSteps; ++t) buffer.add(OwnedSteps(1, {env}, {counting(env, t, frame_words)}).view());
    --num_writing;
  };
  const auto read = [&](bool updates) {
    while (num_writing > 0) {
      OwnedBatch batch(kBatch, layouts);
      buffer.sample(0.5, batch.view());
      num_wrong += num_wrong_rows(batch, frame_words);
      if constexpr (kHasPriorities<S>) {
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
  write_and_read_at_once<Proportional>();
}

TEST_CASE("a writer for each environment and four samplers may run at once") { write_and_read_at_once<Uniform>(); }

TEST_CASE("and while the threads of a prefetching buffer copy frames that are about to be evicted") {
  constexpr std::size_t kFrameWords = 512;  // 256 KiB a batch: copied by threads, from chunks that hold one frame
  write_and_read_at_once<Proportional>(2, kFrameWords);
  write_and_read_at_once<Uniform>(1, kFrameWords);
}

// Row t goes from obs t to t + 1 for ever, so every batch can be checked on its own.
TEST_CASE("a writer, two samplers, an updater, a reader and a saver may all run at once") {
  BufferOf<Proportional> buffer(settings_of(200, 1, 3, {{8, 2}}), {});
  const auto add = [&buffer](std::int64_t t) {
    const std::int64_t frames[] = {t - 1, t, t + 1};
    const auto* bytes = reinterpret_cast<const std::byte*>(frames);
    buffer.add(OwnedSteps(1, {0}, {{{Bytes(bytes, bytes + 16)}, {Bytes(bytes + 8, bytes + 24)}, t, 1.0, false, t % 50 == 49}}).view());
  };
  for (std::int64_t t = 0; t < 100; ++t) add(t);
  const TemporaryFolder folder;
  std::atomic<bool> is_done = false;
  std::atomic<int> num_wrong = 0;
  const auto sample = [&](bool updates) {
    while (!is_done) {
      OwnedBatch batch(16, {{8, 2}});
      buffer.sample(0.5, batch.view());
      for (std::size_t i = 0; i < 16; ++i) {
        std::int64_t obs[2], next_obs[2];
        std::memcpy(obs, batch.obs[0].data() + 16 * i, 16);
        std::memcpy(next_obs, batch.next_obs[0].data() + 16 * i, 16);
        const std::int64_t steps = next_obs[1] - obs[1];
        num_wrong += obs[1] != batch.action[i] || obs[0] != obs[1] - 1 || next_obs[0] != next_obs[1] - 1 || steps < 1 || steps > 3;
      }
      if (updates) buffer.update_priorities(batch.key, std::vector<double>(16, 2.0));
    }
  };
  std::thread first(sample, false), second(sample, false), updater(sample, true);
  std::thread saver([&] {
    while (!is_done) buffer.save(folder / "snapshot", "meta");
  });
  std::thread reader([&] {
    for (std::int64_t n = 1; !is_done; n = n % 3 + 1) {
      buffer.set_n_step(n);
      buffer.set_alpha(0.1 * static_cast<double>(n));
      num_wrong += buffer.size() > 200 || buffer.nbytes() <= 0 || buffer.n_step() != n || !buffer.why_invalid().empty();
    }
  });
  for (std::int64_t t = 100; t < 1500; ++t) add(t);
  is_done = true;
  for (std::thread* thread : {&first, &second, &updater, &saver, &reader}) thread->join();
  CHECK(num_wrong == 0);
  CHECK(buffer.num_added() == 1500);
  CHECK(buffer.why_invalid() == "");
  BufferOf<Proportional> loaded(settings_of(200, 1, 3, {{8, 2}}), {});
  buffer.save(folder / "snapshot", "meta");
  loaded.load(folder / "snapshot");
  CHECK(loaded.why_invalid() == "");
  OwnedBatch one(32, {{8, 2}}), other(32, {{8, 2}});
  buffer.sample(0.4, one.view());
  loaded.sample(0.4, other.view());
  CHECK(one == other);
}
