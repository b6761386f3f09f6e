// A small buffer whose every number is known in advance: row t of the one environment has the stack of frames t, t + 1, t + 2,
// action and reward t. Row 17 ends an episode that row 18 continues. Of 20 rows the last 5 are held, with n_step 2 four can be drawn.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"

namespace mujigae {

// Its HEAD in a snapshot, which also is the state in a file.
enum HeadWord : std::size_t {
  kNumAdded,
  kNumBoundaries,
  kNStep,
  kGamma,
  kFirstKey,
  kSecondKey,
  kCounter,
  kFirst,
  kNext,
  kEpisodeStart,
  kLogBegin,
  kLogEnd,
  kNewest,
  kDepth,
  kPadding,
  kIssuedEnd,
  kEpochs,
  kBeginsEpisode = kEpochs + 8,
  kNumHeadWords
};

inline const std::vector<ObsLayout> kCountingObs = {{2, 3}};
constexpr std::int64_t kCountingSlots = 8;  // capacity 4, n_step - 1 and the stack

inline BufferSettings counting_settings() { return settings_of(4, 1, 2, kCountingObs); }

inline Bytes counting_stack(std::int64_t first) {
  Bytes stack;
  for (std::int64_t frame = first; frame < first + 3; ++frame) stack.insert(stack.end(), 2, static_cast<std::byte>(frame));
  return stack;
}

template <class S>
void count_on(BufferOf<S>& buffer, std::int64_t num_rows = 20) {
  for (std::int64_t t = buffer.num_added(), end = t + num_rows; t < end; ++t) {
    const Transition step{{counting_stack(t)}, {counting_stack(t + 1)}, t, static_cast<double>(t), t == 17, false};
    buffer.add(OwnedSteps(1, {0}, {step}).view());
  }
}

template <class S>
OwnedBatch draw(BufferOf<S>& buffer, std::int64_t batch_size = 16) {
  OwnedBatch batch(batch_size, buffer.obs());
  buffer.sample(0.4, batch.view());
  return batch;
}

// Rows whose observations and reward are not those that were added.
inline int num_wrong_rows(const OwnedBatch& batch) {
  int num_wrong = 0;
  for (std::size_t i = 0; i < batch.key.size(); ++i) {
    const std::int64_t t = batch.action[i], last = t == 17 ? t : t + 1;
    const auto is_stack = [i](const Bytes& stacks, std::int64_t first) {
      const Bytes expected = counting_stack(first);
      return std::equal(expected.begin(), expected.end(), stacks.begin() + static_cast<std::ptrdiff_t>(i * expected.size()));
    };
    const double reward = t == 17 ? 17.0 : static_cast<double>(t) + 0.9 * static_cast<double>(t + 1);
    num_wrong += !is_stack(batch.obs[0], t) || !is_stack(batch.next_obs[0], last + 1) || batch.reward[i] != static_cast<float>(reward);
  }
  return num_wrong;
}

}  // namespace mujigae
