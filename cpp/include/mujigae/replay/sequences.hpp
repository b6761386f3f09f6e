// Sequences of rows around drawn starts, for agents with memory (R2D2, Kapturowski et al. 2019).
//
//   row         start - burn_in .......... start ................ start + length - 1
//   obs         o ......................... o ..................... o    o  (one more: the successor of the last row)
//   mask        0 before the episode or the oldest row held; 0 past the episode's end, and where rows are not there yet
//
// A sequence never crosses an episode. What is masked is zeros; the successor of the last row that is not masked stands behind it.
// Rewards and discounts are those of one step. With no stacks the observations of a sequence are one run of frames.
// O(B (burn_in + length + bytes)). Threads: none; the owner locks.
#pragma once

#include <cstdint>
#include <span>

#include "mujigae/replay/batch.hpp"
#include "mujigae/replay/gather.hpp"

namespace mujigae {

struct SequenceShape {
  static constexpr std::int64_t kMaxSteps = std::int64_t{1} << 20;

  std::int64_t length, burn_in;

  std::int64_t num_steps() const { return burn_in + length; }
};

// ValueError for a length below 1, a burn_in below 0, or more than kMaxSteps together.
void check_sequence(const SequenceShape& shape);

// obs, action, reward, discount, mask, is_first of complete sequences; weight, key, probability of the start; extras.
Schema sequence_schema(const BufferSettings& settings, const SequenceShape& shape);

// Everything but the weights and probabilities.
void gather_sequences(const GatherSource& source, std::span<const std::int64_t> slots, const SequenceShape& shape, const BatchView& out);

}  // namespace mujigae
