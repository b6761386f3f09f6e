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

  std::int64_t size() const { return ends_.back(); }
  std::int64_t slot(std::int64_t position) const;
  std::int64_t position(std::int64_t slot) const;  // of a row that can be drawn

 private:
  const RowRing& rows_;
  Span span_;
  std::vector<std::int64_t> ends_;  // of each lane's rows
};

}  // namespace mujigae
