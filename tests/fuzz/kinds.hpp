// The kinds of buffer whose snapshots are fuzzed. The description (META) of such a snapshot is one letter: 'a' + its kind.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "naive_buffer.hpp"

namespace mujigae {

struct Kind {
  std::int64_t capacity, num_envs, n_step;
  std::vector<ObsLayout> obs;
  bool is_prioritized;
  bool compress = false;
  std::int64_t prefetch = 0;
};

inline const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {4, 1, 1, {{1, 1}}, false},                    // the smallest
      {5, 1, 2, {{2, 4}}, true},                     // stacked frames
      {6, 3, 3, {{2, 3}, {4, 1}}, true},             // several environments, a stack and a vector
      {7, 2, 1, {{1, 2}, {1, 4}, {3, 1}}, false},    // two stacks of different depth
      {5, 1, 2, {{2, 2}}, true, false, 2},           // batches drawn ahead
      {2, 1, 1, {{1024, 1}}, true, true},            // coded frames, of the least size that is coded
      {3, 1, 2, {{1024, 3}}, false, true},           // ... in stacks and windows
  };
  return all;
}

// Calls `use` with an empty buffer of this kind.
template <class Use>
void with_empty_buffer(const Kind& kind, const Use& use) {
  BufferSettings settings = settings_of(kind.capacity, kind.num_envs, kind.n_step, kind.obs);
  settings.compress = kind.compress;
  settings.prefetch = kind.prefetch;
  if (kind.is_prioritized) {
    BufferOf<Proportional> buffer(settings, {});
    use(buffer);
  } else {
    BufferOf<Uniform> buffer(settings, {});
    use(buffer);
  }
}

template <class Buffer>
void play(Buffer& buffer, const Kind& kind, std::uint64_t seed, std::int64_t num_steps) {
  std::vector<RollingEnvironment> environments;
  for (std::int64_t e = 0; e < kind.num_envs; ++e) environments.emplace_back(seed + static_cast<std::uint64_t>(e), kind.obs);
  for (std::int64_t t = 0; t < num_steps; ++t) {
    for (std::int64_t e = 0; e < kind.num_envs; ++e) {
      buffer.add(OwnedSteps(1, {e}, {environments[static_cast<std::size_t>(e)].step(t)}).view());
    }
  }
}

template <class Buffer>
OwnedBatch draw(Buffer& buffer, const Kind& kind) {
  OwnedBatch batch(6, kind.obs);
  buffer.sample(0.4, batch.view());
  if constexpr (std::is_same_v<Buffer, BufferOf<Proportional>>) {
    buffer.update_priorities(batch.key, std::vector<double>{0.0, 0.5, 1.0, 2.0, 3.0, 10.0});
  }
  return batch;
}

}  // namespace mujigae
