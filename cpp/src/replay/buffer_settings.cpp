#include "mujigae/replay/buffer_settings.hpp"

#include <algorithm>

#include "mujigae/storage/available_memory.hpp"
#include "mujigae/check.hpp"
#include "mujigae/frames/frame_ring.hpp"
#include "mujigae/replay/n_step.hpp"

namespace mujigae {
namespace {

// What a full buffer takes, one frame a row (of compressed ones the least): the row, and what is kept beside them in memory.
void check_size(const BufferSettings& settings, const SamplerPlan& sampler, const MappedFile* file) {
  constexpr std::int64_t kLaneBytes = 128;  // an upper bound
  const auto num_obs = static_cast<std::int64_t>(settings.obs.size());
  const std::int64_t num_slots = settings.capacity + settings.num_envs * num_spare_slots(settings);
  std::int64_t row_bytes = 13 + settings.action_bytes + num_obs * static_cast<std::int64_t>(sizeof(Stack)) + sampler.stored_bytes;
  for (const std::int64_t bytes : settings.extra_bytes) row_bytes = saturating_sum(row_bytes, bytes);
  std::int64_t lane_bytes = kLaneBytes;
  for (const ObsLayout& obs : settings.obs) lane_bytes = saturating_sum(lane_bytes, max_log_bytes(obs, settings.compress));
  for (const ObsLayout& obs : settings.obs) row_bytes = saturating_sum(row_bytes, min_stored_bytes(obs.frame_bytes, settings.compress));
  const std::int64_t stored = saturating_product(num_slots, row_bytes);
  const std::int64_t beside = saturating_sum(num_slots * sampler.structure_bytes, saturating_product(settings.num_envs, lane_bytes));
  check_memory("capacity", file ? beside : saturating_sum(stored, beside));
  if (file && file->is_new()) check_disk("capacity", stored, file->path());
}

}  // namespace

std::int64_t num_spare_slots(const BufferSettings& settings) {
  std::int64_t stack = 1;
  for (const ObsLayout& obs : settings.obs) stack = std::max(stack, obs.stack);
  return settings.n_step - 1 + stack;
}

BufferSettings checked(BufferSettings settings, const SamplerPlan& sampler, const MappedFile* file) {
  if (settings.num_envs < 1) fail_value("num_envs: expected at least 1, got ", settings.num_envs);
  if (settings.capacity < settings.num_envs) {
    fail_value("capacity: expected at least num_envs = ", settings.num_envs, ", got ", settings.capacity);
  }
  check_n_step(settings.n_step);
  check_gamma(settings.gamma);
  constexpr std::int64_t kMaxPrefetch = 1024;
  if (settings.prefetch < 0 || settings.prefetch > kMaxPrefetch) {
    fail_value("prefetch: expected 0 to ", kMaxPrefetch, ", got ", settings.prefetch);
  }
  for (const ObsLayout& obs : settings.obs) {
    if (obs.frame_bytes < 1) fail_value("observation_space: expected observations of at least one byte");
    if (obs.stack < 1 || obs.stack > StackLane::kMaxStack) {
      fail_value("frame_stack: expected 1 to ", StackLane::kMaxStack, ", got ", obs.stack);
    }
  }
  constexpr std::int64_t kMaxSlots = std::int64_t{1} << 31;  // a key has 32 bits for the slot
  if (settings.capacity > kMaxSlots || settings.num_envs > kMaxSlots / (settings.n_step + StackLane::kMaxStack)) {
    fail_value("capacity: expected at most 2^31 rows, and as many spare slots, got ", settings.capacity, " rows, num_envs ",
               settings.num_envs, ", n_step ", settings.n_step);
  }
  check_size(settings, sampler, file);
  return settings;
}

}  // namespace mujigae
