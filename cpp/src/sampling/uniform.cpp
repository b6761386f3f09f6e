#include "mujigae/sampling/uniform.hpp"

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

SamplerPlan Uniform::plan(const Settings& settings) {
  return {.make = [settings](std::int64_t, MappedFile*) { return std::make_unique<Uniform>(settings); }};
}

void Uniform::check_can_draw(const RowRing& rows, const Span& span, std::int64_t) const { check_has_rows(rows, span); }

void Uniform::draw(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) {
  const ReadyRows ready(rows, span);
  std::vector<std::uint64_t> words(slots.size());
  random.fill(words);
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = ready.slot(scale_word(words[i], ready.size()));
}

double Uniform::masses_of(const RowRing& rows, const Span& span, std::span<const std::int64_t>, std::span<double> masses) {
  std::fill(masses.begin(), masses.end(), 1.0);
  return static_cast<double>(rows.num_ready(span));
}

}  // namespace mujigae
