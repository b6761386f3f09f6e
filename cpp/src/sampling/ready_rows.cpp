#include "mujigae/sampling/ready_rows.hpp"

#include <algorithm>

namespace mujigae {

ReadyRows::ReadyRows(const RowRing& rows, const Span& span) : rows_(rows), span_(span) {
  for (std::int64_t e = 0, end = 0; e < rows.num_lanes(); ++e) ends_.push_back(end += rows.lane(e).num_ready(span));
}

std::int64_t ReadyRows::slot(std::int64_t position) const {
  const auto e = ends_.size() == 1 ? 0 : std::upper_bound(ends_.begin(), ends_.end(), position) - ends_.begin();
  const Lane& lane = rows_.lane(e);
  return lane.slot(lane.ready_end(span_) - (ends_[static_cast<std::size_t>(e)] - position));
}

std::int64_t ReadyRows::position(std::int64_t slot) const {
  const RowRing::Row row = rows_.row_in(slot);
  return ends_[static_cast<std::size_t>(row.lane)] - (rows_.lane(row.lane).ready_end(span_) - row.row);
}

}  // namespace mujigae
