#include "mujigae/sampling/sampler.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "mujigae/check.hpp"
#include "mujigae/sampling/power.hpp"

namespace mujigae {
namespace {

void check_exponent(const char* argument, double value) {
  if (!(value >= 0.0 && std::isfinite(value))) fail_value(argument, ": expected a finite number of at least 0, got ", value);
}

void check_has_rows(const RowRing& rows, std::int64_t n_step) {
  if (rows.num_ready(n_step) == 0) fail_value("sample: expected at least one row whose n-step window is complete, got none");
}

// floor(word x count / 2^64): every position alike up to count / 2^64 (Lemire 2019).
std::int64_t scale_word(std::uint64_t word, std::int64_t count) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::int64_t>(static_cast<Wide>(word) * static_cast<std::uint64_t>(count) >> 64);
}

}  // namespace

void UniformSampler::check_can_draw(const RowRing& rows, std::int64_t n_step) const { check_has_rows(rows, n_step); }

void UniformSampler::draw(const RowRing& rows, std::int64_t n_step, Philox& random, std::span<std::int64_t> slots,
                          std::span<double> leaves) const {
  std::vector<std::int64_t> ends;  // of each lane's rows, counted over the lanes in order
  for (std::int64_t e = 0, end = 0; e < rows.num_lanes(); ++e) ends.push_back(end += rows.lane(e).num_ready(n_step));
  std::vector<std::uint64_t> words(slots.size());
  random.fill(words);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::int64_t position = scale_word(words[i], ends.back());
    const auto e = ends.size() == 1 ? 0 : std::upper_bound(ends.begin(), ends.end(), position) - ends.begin();
    const Lane& lane = rows.lane(e);
    slots[i] = lane.slot(lane.ready_end(n_step) - (ends[static_cast<std::size_t>(e)] - position));
  }
  std::fill(leaves.begin(), leaves.end(), 1.0);
}

void UniformSampler::weigh(std::span<const double>, double, std::span<float> weights) const {
  std::fill(weights.begin(), weights.end(), 1.0F);
}

PrioritizedSampler::PrioritizedSampler(const Settings& settings, std::int64_t num_slots, MappedFile* file)
    : settings_(settings),
      priorities_(num_slots, file ? file->map_part(num_slots * static_cast<std::int64_t>(sizeof(double)), true) : nullptr),
      tree_(num_slots) {
  check_exponent("alpha", settings.alpha);
  check_exponent("beta", settings.beta);
  check_exponent("eps", settings.eps);
  check_priorities(std::span(&max_priority_, 1));
}

void PrioritizedSampler::reserve(std::int64_t num_changes) {
  const std::size_t num_changed = changed_slots_.size() + static_cast<std::size_t>(num_changes);
  for (auto* column : {&changed_priorities_, &changed_leaves_}) column->reserve(num_changed);
  changed_slots_.reserve(num_changed);
}

void PrioritizedSampler::commit() {
  changed_leaves_.resize(changed_slots_.size());
  leaves_of(changed_priorities_, changed_leaves_);
  tree_.update(changed_slots_, changed_leaves_);
  changed_slots_.clear();
  changed_priorities_.clear();
}

void PrioritizedSampler::clear() {
  tree_.clear();
  std::fill(priorities_.begin(), priorities_.end(), 0.0);
  max_priority_ = 1.0;
}

double PrioritizedSampler::leaf(double priority) const {
  double leaf;
  leaves_of(std::span(&priority, 1), std::span(&leaf, 1));
  return leaf;
}

// A positive leaf stays within what the tree can add up; only absurd exponents ever reach its ends.
void PrioritizedSampler::leaves_of(std::span<const double> priorities, std::span<double> leaves) const {
  for (std::size_t i = 0; i < leaves.size(); ++i) leaves[i] = std::max(priorities[i], 0.0) + settings_.eps;
  power(leaves, settings_.alpha, leaves);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const bool is_zero = priorities[i] < 0.0 || (leaves[i] == 0.0 && priorities[i] + settings_.eps == 0.0);
    leaves[i] = is_zero ? 0.0 : std::clamp(leaves[i], SumTree::kMinValue, SumTree::kMaxValue);
  }
}

bool PrioritizedSampler::is_too_large(double priority, double alpha) const {
  return power(priority + settings_.eps, alpha) > SumTree::kMaxValue;
}

void PrioritizedSampler::check_priorities(std::span<const double> priorities) const {
  double largest = 0.0;
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    if (!(priorities[i] >= 0.0 && std::isfinite(priorities[i]))) {
      fail_value("priorities[", i, "]: expected a finite number of at least 0, got ", priorities[i]);
    }
    largest = std::max(largest, priorities[i]);
  }
  if (!is_too_large(largest, settings_.alpha)) return;
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    if (!is_too_large(priorities[i], settings_.alpha)) continue;
    fail_value("priorities[", i, "]: expected (priority + eps)^alpha of at most 2^900, got ", priorities[i], " with alpha ",
               settings_.alpha);
  }
}

void PrioritizedSampler::set_priority(std::int64_t slot, double priority) {
  priorities_[slot] = priority;
  max_priority_ = std::max(max_priority_, priority);
}

void PrioritizedSampler::set_alpha(double alpha) {
  check_exponent("alpha", alpha);
  if (is_too_large(max_priority_, alpha)) {
    fail_value("alpha: expected (largest priority + eps)^alpha of at most 2^900, got ", alpha, " with a largest priority of ",
               max_priority_);
  }
  settings_.alpha = alpha;
}

void PrioritizedSampler::set_beta(double beta) {
  check_exponent("beta", beta);
  settings_.beta = beta;
}

double PrioritizedSampler::exponent(std::optional<double> beta) const {
  if (beta) check_exponent("beta", *beta);
  return beta.value_or(settings_.beta);
}

void PrioritizedSampler::check_can_draw(const RowRing& rows, std::int64_t n_step) const {
  check_has_rows(rows, n_step);
  if (!(tree_.total() > 0.0)) fail_value("sample: every leaf is zero, nothing can be drawn");
}

void PrioritizedSampler::draw(const RowRing&, std::int64_t, Philox& random, std::span<std::int64_t> slots,
                              std::span<double> leaves) const {
  tree_.sample(random, settings_.stratified, slots);
  for (std::size_t i = 0; i < slots.size(); ++i) leaves[i] = tree_[slots[i]];
}

// (N P(i))^-beta / max_j (N P(j))^-beta = (min_j leaf_j / leaf_i)^beta: N and the total cancel.
void PrioritizedSampler::weigh(std::span<const double> leaves, double beta, std::span<float> weights) const {
  const double smallest = *std::min_element(leaves.begin(), leaves.end());
  std::array<double, 64> ratios;
  for (std::size_t begin = 0; begin < leaves.size(); begin += ratios.size()) {
    const std::span group = std::span(ratios).first(std::min(ratios.size(), leaves.size() - begin));
    for (std::size_t i = 0; i < group.size(); ++i) group[i] = smallest / leaves[begin + i];
    power(group, beta, group);
    for (std::size_t i = 0; i < group.size(); ++i) weights[begin + i] = static_cast<float>(group[i]);
  }
}

std::int64_t PrioritizedSampler::nbytes() const {
  return tree_.nbytes() + priorities_.nbytes();
}

std::string PrioritizedSampler::why_invalid(const RowRing& rows, std::int64_t n_step) const {
  for (std::int64_t slot = 0; slot < rows.num_slots(); ++slot) {
    const double p = priority(slot);
    if (rows.is_held(rows.row_in(slot)) && !(p >= 0.0 && p <= max_priority_)) return concat("slot ", slot, " has priority ", p);
    const double expected = rows.is_ready(rows.row_in(slot), n_step) ? leaf(p) : 0.0;
    if (tree_[slot] != expected) return concat("slot ", slot, " has leaf ", tree_[slot], " instead of ", expected);
  }
  return tree_.why_invalid();
}

void PrioritizedSampler::save(SnapshotWriter& writer, const RowRing& rows) const {
  std::vector<double> values = state();
  for (std::int64_t e = 0; e < rows.num_lanes(); ++e) {
    const Lane& lane = rows.lane(e);
    for (std::int64_t row = lane.first; row < lane.next; ++row) values.push_back(priority(lane.slot(row)));
  }
  writer.section(section_tag("PRIO"), std::span<const double>(values));
}

bool PrioritizedSampler::set_state(std::span<const double> state) {
  if (!std::all_of(state.begin(), state.end(), [](double x) { return x >= 0.0 && std::isfinite(x); })) return false;
  settings_.alpha = state[0];
  settings_.beta = state[1];
  max_priority_ = state[2];
  return max_priority_ >= 1.0 && !is_too_large(max_priority_, settings_.alpha);  // it starts at 1
}

bool PrioritizedSampler::adopt(std::span<const double> state, const RowRing& rows) {
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

void PrioritizedSampler::load(SnapshotReader& reader, const RowRing& rows) {
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
