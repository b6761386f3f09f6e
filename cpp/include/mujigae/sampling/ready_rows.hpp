// The rows that can be drawn, numbered from 0 over the lanes in order. Good until a row is added or evicted.
//
//   lane 0   [first ... ready_end)      positions 0 ... ends[0] - 1
//   lane 1   [first ... ready_end)      positions ends[0] ... ends[1] - 1
//
// O(lanes) to make, O(log lanes) a row. Threads: none; the owner of the rows locks.
#pragma once

#include <cstdint>
#include <vector>

#include "mujigae/replay/row_ring.hpp"

namespace mujigae {

class ReadyRows {
 public:
  ReadyRows(const RowRing& rows, const Span& span);

  std::int64_t size() const { return lanes_.back().end; }
  std::int64_t slot(std::int64_t position) const {
    const OfLane& lane = lanes_.size() == 1 ? lanes_.front() : *lane_at(position);
    const std::int64_t at = lane.first_at + (position - lane.begin);
    return lane.offset + (at < lane.slots ? at : at - lane.slots);
  }
  std::int64_t position(std::int64_t slot) const;  // of a row that can be drawn

 private:
  struct OfLane {
    std::int64_t begin, end;              // positions of its rows
    std::int64_t offset, slots, first_at;  // its slots in the buffer, and which of them has its oldest row
  };

  std::vector<OfLane>::const_iterator lane_at(std::int64_t position) const;

  const RowRing& rows_;
  std::vector<OfLane> lanes_;
};

}  // namespace mujigae
