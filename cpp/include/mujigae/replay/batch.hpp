// Where a batch goes: memory of the caller's, or recycled memory of the buffer's own.
//
// The fields are those of a schema (schema.hpp). Every field of a BatchMemory begins at a cache line of its own. Small fields share
// one block of the arena, so that a small batch costs one block; a large field has its own, so that whoever keeps the keys does not
// keep the observations.
//
// Threads: none; a BatchMemory may be let go by any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "mujigae/replay/schema.hpp"
#include "mujigae/storage/arena.hpp"

namespace mujigae {

struct BatchView {  // [B, ...] each; what a schema does not have is nullptr or empty
  std::int64_t batch_size;
  std::vector<std::byte*> obs, next_obs;
  std::byte* action;
  float* reward;
  float* discount;
  bool* terminated;
  float* weight;
  std::int64_t* key;
  double* probability;
  std::vector<std::byte*> extras;
  bool* mask = nullptr;  // of sequences (sequences.hpp), as is_first
  bool* is_first = nullptr;
  bool wants_mirror_slots = false;  // obs and next_obs are int64 [B, k]: slots in the mirrors (frame_mirror.hpp)
};

// The fields of a view in the order of a schema, and back.
std::vector<std::byte*> fields_of(const BatchView& batch, const Schema& schema);
BatchView view_of(std::int64_t batch_size, const Schema& schema, std::span<std::byte* const> fields);

struct BatchMemory {
  static constexpr std::int64_t kSmallBytes = 1 << 16;

  BatchMemory() = default;
  BatchMemory(Arena& arena, std::int64_t batch_size, const Schema& schema);

  BatchView view{};
  std::vector<std::shared_ptr<std::byte>> owners;  // of each field; of small ones the same
};

void copy_batch(const BatchView& from, const BatchView& to, const Schema& schema);

}  // namespace mujigae
