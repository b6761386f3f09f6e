// What a replay buffer is constructed with, and what of it is refused.
#pragma once

#include <cstdint>
#include <vector>

#include "mujigae/frames/frame_ring.hpp"
#include "mujigae/storage/mapped_file.hpp"
#include "mujigae/sampling/random.hpp"
#include "mujigae/sampling/sampler.hpp"

namespace mujigae {

using ObsLayout = FrameLayout;

struct BufferSettings {
  std::int64_t capacity, num_envs, n_step;
  double gamma;
  std::vector<ObsLayout> obs;
  std::int64_t action_bytes;
  bool validate;
  Philox::Key key;
  bool compress = false;
  std::int64_t prefetch = 0;                // batches drawn ahead
  std::vector<std::int64_t> extra_bytes = {};  // of each field that the user adds to a row
};

// Each lane has so many slots on top of its rows: for the rows whose window is not complete, and the frames before a stack.
std::int64_t num_spare_slots(const BufferSettings& settings);

// The settings, if a buffer can have them and what it takes when full, one frame a row, fits into memory, or the file onto its
// disk; else ValueError.
BufferSettings checked(BufferSettings settings, const SamplerPlan& sampler, const MappedFile* file);

}  // namespace mujigae
