#include "mujigae/sampling/proportional.hpp"

#include <algorithm>
#include <cmath>

#include "mujigae/check.hpp"
#include "mujigae/sampling/power.hpp"

namespace mujigae {

SamplerPlan Proportional::plan(const Settings& settings) {
  constexpr std::int64_t kTreeBytes = 10;  // of a leaf and its share of the nodes: an upper bound
  return {sizeof(double), kTreeBytes, 3, [settings](std::int64_t num_slots, MappedFile* file) {
            return std::make_unique<Proportional>(settings, num_slots, file);
          }};
}

Proportional::Proportional(const Settings& settings, std::int64_t num_slots, MappedFile* file)
    : settings_(settings),
      priorities_(num_slots, file ? file->map_part(num_slots * static_cast<std::int64_t>(sizeof(double)), true) : nullptr),
      tree_(num_slots) {
  check_exponent("alpha", settings.alpha);
  check_exponent("beta", settings.beta);
  check_exponent("eps", settings.eps);
  check_priorities("priorities", std::span(&max_priority_, 1));
}

void Proportional::write(std::int64_t slot, std::optional<double> priority) {
  if (priority) return set_priority(slot, *priority);
  priorities_[slot] = max_priority_;
}

void Proportional::reserve(std::int64_t num_changes) {
  const std::size_t num_changed = changed_slots_.size() + static_cast<std::size_t>(num_changes);
  for (auto* column : {&changed_priorities_, &changed_leaves_}) column->reserve(num_changed);
  changed_slots_.reserve(num_changed);
}

void Proportional::commit() {
  changed_leaves_.resize(changed_slots_.size());
  leaves_of(changed_priorities_, changed_leaves_);
  tree_.update(changed_slots_, changed_leaves_);
  changed_slots_.clear();
  changed_priorities_.clear();
}

void Proportional::clear() {
  tree_.clear();
  std::fill(priorities_.begin(), priorities_.end(), 0.0);
  max_priority_ = 1.0;
}

double Proportional::leaf(double priority) const {
  double leaf;
  leaves_of(std::span(&priority, 1), std::span(&leaf, 1));
  return leaf;
}

// A positive leaf stays within what the tree can add up; only absurd exponents ever reach its ends.
void Proportional::leaves_of(std::span<const double> priorities, std::span<double> leaves) const {
  for (std::size_t i = 0; i < leaves.size(); ++i) leaves[i] = std::max(priorities[i], 0.0) + settings_.eps;
  power(leaves, settings_.alpha, leaves);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const bool is_zero = priorities[i] < 0.0 || (leaves[i] == 0.0 && priorities[i] + settings_.eps == 0.0);
    leaves[i] = is_zero ? 0.0 : std::clamp(leaves[i], SumTree::kMinValue, SumTree::kMaxValue);
  }
}

bool Proportional::is_too_large(double priority, double alpha) const {
  return power(priority + settings_.eps, alpha) > SumTree::kMaxValue;
}

void Proportional::check_priorities(const char* argument, std::span<const double> priorities) const {
  double largest = 0.0;
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    if (!(priorities[i] >= 0.0 && std::isfinite(priorities[i]))) {
      fail_value(argument, "[", i, "]: expected a finite number of at least 0, got ", priorities[i]);
    }
    largest = std::max(largest, priorities[i]);
  }
  if (!is_too_large(largest, settings_.alpha)) return;
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    if (!is_too_large(priorities[i], settings_.alpha)) continue;
    fail_value(argument, "[", i, "]: expected (priority + eps)^alpha of at most 2^900, got ", priorities[i], " with alpha ",
               settings_.alpha);
  }
}

void Proportional::set_priority(std::int64_t slot, double priority) {
  priorities_[slot] = priority;
  max_priority_ = std::max(max_priority_, priority);
}

void Proportional::set_alpha(double alpha) {
  check_exponent("alpha", alpha);
  if (is_too_large(max_priority_, alpha)) {
    fail_value("alpha: expected (largest priority + eps)^alpha of at most 2^900, got ", alpha, " with a largest priority of ",
               max_priority_);
  }
  settings_.alpha = alpha;
}

void Proportional::set_beta(double beta) {
  check_exponent("beta", beta);
  settings_.beta = beta;
}

void Proportional::check_can_draw(const RowRing& rows, const Span& span, std::int64_t) const {
  check_has_rows(rows, span);
  if (!(tree_.total() > 0.0)) fail_value("sample: every leaf is zero, nothing can be drawn");
}

void Proportional::draw(const RowRing&, const Span&, Philox& random, std::span<std::int64_t> slots) {
  tree_.sample(random, settings_.stratified, slots);
}

double Proportional::masses_of(const RowRing&, const Span&, std::span<const std::int64_t> slots, std::span<double> masses) {
  for (std::size_t i = 0; i < slots.size(); ++i) masses[i] = tree_[slots[i]];
  return tree_.total();
}

std::int64_t Proportional::nbytes() const {
  return tree_.nbytes() + priorities_.nbytes();
}

std::string Proportional::why_invalid(const RowRing& rows, const Span& span) const {
  for (std::int64_t slot = 0; slot < rows.num_slots(); ++slot) {
    const double p = priority(slot);
    if (rows.is_held(rows.row_in(slot)) && !(p >= 0.0 && p <= max_priority_)) return concat("slot ", slot, " has priority ", p);
    const double expected = rows.is_ready(rows.row_in(slot), span) ? leaf(p) : 0.0;
    if (tree_[slot] != expected) return concat("slot ", slot, " has leaf ", tree_[slot], " instead of ", expected);
  }
  return tree_.why_invalid();
}

void Proportional::save(SnapshotWriter& writer, const RowRing& rows) const {
  std::vector<double> values = state();
  for (std::int64_t e = 0; e < rows.num_lanes(); ++e) {
    const Lane& lane = rows.lane(e);
    for (std::int64_t row = lane.first; row < lane.next; ++row) values.push_back(priority(lane.slot(row)));
  }
  writer.section(section_tag("PRIO"), std::span<const double>(values));
}

bool Proportional::set_state(std::span<const double> state) {
  if (!std::all_of(state.begin(), state.end(), [](double x) { return x >= 0.0 && std::isfinite(x); })) return false;
  settings_.alpha = state[0];
  settings_.beta = state[1];
  max_priority_ = state[2];
  return max_priority_ >= 1.0 && !is_too_large(max_priority_, settings_.alpha);  // it starts at 1
}

bool Proportional::adopt(std::span<const double> state, const RowRing& rows) {
  if (!set_state(state)) return false;
  const auto is_priority = [&](double p) { return p >= 0.0 && std::isfinite(p) && !is_too_large(p, settings_.alpha); };
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

void Proportional::load(SnapshotReader& reader, const RowRing& rows) {
  std::size_t num_held = 0;
  for (std::int64_t e = 0; e < rows.num_lanes(); ++e) num_held += static_cast<std::size_t>(rows.lane(e).num_held());
  const std::vector<double> values = reader.section<double>(section_tag("PRIO"), num_held + 3);
  if (!set_state(std::span(values).first(3))) reader.fail("an alpha, beta or largest priority that is out of range");
  auto p = values.begin() + 3;
  for (std::int64_t e = 0; e < rows.num_lanes(); ++e) {
    const Lane& lane = rows.lane(e);
    for (std::int64_t row = lane.first; row < lane.next; ++row) {
      if (!(*p >= 0.0 && *p <= max_priority_)) reader.fail("a priority that is negative, not finite, or above the largest");
      priorities_[lane.slot(row)] = *p++;
    }
  }
}

}  // namespace mujigae
