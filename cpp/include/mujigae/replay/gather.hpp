// From drawn slots to a batch: n-step windows, keys, actions and the frames of both stacks.
//
//   block of 64 rows   load ahead -> windows; load their frames ahead -> copy the frames
//
// A row is a record and one or two runs of frames, each a trip to memory. So the rows of a block begin to load into cache all at
// once, then they are read, then their frames begin to load all at once.
// Rows of small frames without stacks are read one by one instead (single_frame_reader.hpp).
// O(B (n + bytes)). Threads: none; the owner locks. What is left to be copied may be by anybody (frame_copies.hpp), as long as the
// frame logs keep the frames.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mujigae/replay/batch.hpp"
#include "mujigae/replay/row_ring.hpp"
#include "mujigae/frames/frame_copies.hpp"
#include "mujigae/frames/frame_ring.hpp"

namespace mujigae {

struct GatherSource {
  const RowRing& rows;
  const std::vector<std::vector<StackLane>>& stacks;  // [lane][obs]
  const BufferSettings& settings;
};

// Everything but the weights, and but the observations of a batch that wants the slots of mirrors.
void gather(const GatherSource& source, std::span<const std::int64_t> slots, const BatchView& out);
// ... and but the observations, which are on their way; a small batch has them at once.
FrameCopies gather_behind(const GatherSource& source, std::span<const std::int64_t> slots, const BatchView& out);

}  // namespace mujigae
