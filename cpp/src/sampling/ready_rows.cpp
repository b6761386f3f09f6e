#include "mujigae/sampling/ready_rows.hpp"

#include <algorithm>

namespace mujigae {

ReadyRows::ReadyRows(const RowRing& rows, const Span& span) : rows_(rows) {
  for (std::int64_t e = 0, begin = 0; e < rows.num_lanes(); ++e) {
    const Lane& lane = rows.lane(e);
    lanes_.push_back({begin, begin + lane.num_ready(span), lane.offset, lane.slots, lane.first % lane.slots});
    begin = lanes_.back().end;
  }
}

std::vector<ReadyRows::OfLane>::const_iterator ReadyRows::lane_at(std::int64_t position) const {
  return std::upper_bound(lanes_.begin(), lanes_.end(), position, [](std::int64_t value, const OfLane& lane) { return value < lane.end; });
}

std::int64_t ReadyRows::position(std::int64_t slot) const {
  const RowRing::Row row = rows_.row_in(slot);
  return lanes_[static_cast<std::size_t>(row.lane)].begin + (row.row - rows_.lane(row.lane).first);
}

}  // namespace mujigae
