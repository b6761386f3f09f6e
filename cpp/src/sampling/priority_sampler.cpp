#include "mujigae/sampling/priority_sampler.hpp"

#include <algorithm>
#include <cmath>

#include "mujigae/check.hpp"

namespace mujigae {

PrioritySampler::PrioritySampler(double alpha, double beta, std::int64_t num_slots, MappedFile* file)
    : alpha_(alpha),
      beta_(beta),
      priorities_(num_slots, file ? file->map_part(num_slots * static_cast<std::int64_t>(sizeof(double)), true) : nullptr) {
  check_exponent("alpha", alpha);
  check_exponent("beta", beta);
}

void PrioritySampler::write(std::int64_t slot, std::optional<double> priority) {
  if (priority) return set_priority(slot, *priority);
  priorities_[slot] = max_priority_;
}

void PrioritySampler::clear() {
  std::fill(priorities_.begin(), priorities_.end(), 0.0);
  max_priority_ = 1.0;
}

void PrioritySampler::check_priorities(const char* argument, std::span<const double> priorities) const {
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    if (!(priorities[i] >= 0.0 && std::isfinite(priorities[i]))) {
      fail_value(argument, "[", i, "]: expected a finite number of at least 0, got ", priorities[i]);
    }
  }
}

void PrioritySampler::set_priority(std::int64_t slot, double priority) {
  priorities_[slot] = priority;
  max_priority_ = std::max(max_priority_, priority);
}

void PrioritySampler::set_alpha(double alpha) {
  check_exponent("alpha", alpha);
  alpha_ = alpha;
}

void PrioritySampler::set_beta(double beta) {
  check_exponent("beta", beta);
  beta_ = beta;
}

std::string PrioritySampler::why_invalid(const RowRing& rows, const Span&) const {
  for (std::int64_t slot = 0; slot < rows.num_slots(); ++slot) {
    const double p = priority(slot);
    if (rows.is_held(rows.row_in(slot)) && !(p >= 0.0 && p <= max_priority_)) return concat("slot ", slot, " has priority ", p);
  }
  return {};
}

void PrioritySampler::save(SnapshotWriter& writer, const RowRing& rows) const {
  std::vector<double> values = state();
  for (std::int64_t e = 0; e < rows.num_lanes(); ++e) {
    const Lane& lane = rows.lane(e);
    for (std::int64_t row = lane.first; row < lane.next; ++row) values.push_back(priority(lane.slot(row)));
  }
  writer.section(section_tag("PRIO"), std::span<const double>(values));
}

bool PrioritySampler::set_state(std::span<const double> state) {
  if (!std::all_of(state.begin(), state.end(), [](double x) { return x >= 0.0 && std::isfinite(x); })) return false;
  alpha_ = state[0];
  beta_ = state[1];
  max_priority_ = state[2];
  return max_priority_ >= 1.0 && !is_too_large(max_priority_, alpha_);  // it starts at 1
}

bool PrioritySampler::adopt(std::span<const double> state, const RowRing& rows) {
  if (!set_state(state)) return false;
  const auto is_priority = [&](double p) { return p >= 0.0 && std::isfinite(p) && !is_too_large(p, alpha_); };
  const double largest = max_priority_;
  for (std::int64_t e = 0; e < rows.num_lanes(); ++e) {
    const Lane& lane = rows.lane(e);
    for (std::int64_t row = lane.first; row < lane.next; ++row) {
      double& p = priorities_[lane.slot(row)];
      if (!is_priority(p)) p = largest;
      max_priority_ = std::max(max_priority_, p);  // p may be newer than the state
    }
  }
  return true;
}

void PrioritySampler::load(SnapshotReader& reader, const RowRing& rows) {
  std::size_t num_held = 0;
  for (std::int64_t e = 0; e < rows.num_lanes(); ++e) num_held += static_cast<std::size_t>(rows.lane(e).num_held());
  const std::vector<double> values = reader.section<double>(section_tag("PRIO"), num_held + kNumStateWords);
  if (!set_state(std::span(values).first(kNumStateWords))) reader.fail("an alpha, beta or largest priority that is out of range");
  auto p = values.begin() + kNumStateWords;
  for (std::int64_t e = 0; e < rows.num_lanes(); ++e) {
    const Lane& lane = rows.lane(e);
    for (std::int64_t row = lane.first; row < lane.next; ++row) {
      if (!(*p >= 0.0 && *p <= max_priority_)) reader.fail("a priority that is negative, not finite, or above the largest");
      priorities_[lane.slot(row)] = *p++;
    }
  }
}

}  // namespace mujigae
