// The kinds of buffer whose snapshots are fuzzed. The description (META) of such a snapshot is one letter: 'a' + its kind.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "naive_buffer.hpp"
#include "mujigae/sampling/rank_based.hpp"

namespace mujigae {

enum class Choice { uniform, proportional, rank_based };

struct Kind {
  std::int64_t capacity, num_envs, n_step;
  std::vector<ObsLayout> obs;
  Choice sampler;
  bool compress = false;
  std::int64_t prefetch = 0;
};

inline const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {4, 1, 1, {{1, 1}}, Choice::uniform},                           // the smallest
      {5, 1, 2, {{2, 4}}, Choice::proportional},                      // stacked frames
      {6, 3, 3, {{2, 3}, {4, 1}}, Choice::proportional},              // several environments, a stack and a vector
      {7, 2, 1, {{1, 2}, {1, 4}, {3, 1}}, Choice::uniform},           // two stacks of different depth
      {5, 1, 2, {{2, 2}}, Choice::proportional, false, 2},            // batches drawn ahead
      {2, 1, 1, {{1024, 1}}, Choice::proportional, true},             // coded frames, of the least size that is coded
      {3, 1, 2, {{1024, 3}}, Choice::uniform, true},                  // ... in stacks and windows
      {5, 2, 2, {{2, 4}}, Choice::rank_based},
  };
  return all;
}

inline BufferSettings settings_of(const Kind& kind) {
  BufferSettings settings = settings_of(kind.capacity, kind.num_envs, kind.n_step, kind.obs);
  settings.compress = kind.compress;
  settings.prefetch = kind.prefetch;
  return settings;
}

// Calls `use` with a buffer of this kind: an empty one in memory, or the one in `file`.
template <class Use>
void with_buffer(const Kind& kind, std::unique_ptr<MappedFile> file, const Use& use) {
  const auto with = [&]<class S>(std::type_identity<S>) {
    BufferOf<S> buffer(settings_of(kind), {}, std::move(file));
    use(buffer);
  };
  switch (kind.sampler) {
    case Choice::uniform: return with(std::type_identity<Uniform>{});
    case Choice::proportional: return with(std::type_identity<Proportional>{});
    case Choice::rank_based: return with(std::type_identity<RankBased>{});
  }
}

template <class Use>
void with_empty_buffer(const Kind& kind, const Use& use) {
  with_buffer(kind, nullptr, use);
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
  if constexpr (!std::is_same_v<Buffer, BufferOf<Uniform>>) {
    buffer.update_priorities(batch.key, std::vector<double>{0.0, 0.5, 1.0, 2.0, 3.0, 10.0});
  }
  return batch;
}

}  // namespace mujigae
