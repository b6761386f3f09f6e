// The fields of a batch, in order: the one list that batches, bindings, placements on devices and snapshots go by.
//
//   obs ... | action | reward | next_obs ... | discount | terminated | weight | key | probability | extras ...
//
// obs and next_obs have one field for each observation, extras one for each field that the user added to a row. Their types and
// those of actions are the caller's; the types of the others are fixed here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mujigae/replay/buffer_settings.hpp"

namespace mujigae {

enum class FieldKind : std::uint8_t {
  kObs,
  kAction,
  kReward,
  kNextObs,
  kDiscount,
  kTerminated,
  kWeight,
  kKey,
  kProbability,
  kExtra,
  kMask,
  kIsFirst
};

struct Field {
  FieldKind kind;
  std::size_t index;       // of the observation or the extra; else 0
  std::int64_t row_bytes;      // of one row of the batch
  std::int64_t num_steps = 0;  // that a row of the batch has, where it is a sequence: an axis of its own; 0: no such axis
};

using Schema = std::vector<Field>;

Schema batch_schema(const BufferSettings& settings);

const char* name_of(FieldKind kind);   // as Python has it
const char* dtype_of(FieldKind kind);  // as NumPy names it; nullptr: the caller's

}  // namespace mujigae
