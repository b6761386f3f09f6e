#include "mujigae/sampling/proportional.hpp"

#include <algorithm>

#include "mujigae/check.hpp"
#include "mujigae/sampling/power.hpp"

namespace mujigae {

SamplerPlan Proportional::plan(const Settings& settings) {
  constexpr std::int64_t kTreeBytes = 10;  // of a leaf and its share of the nodes: an upper bound
  return {sizeof(double), kTreeBytes, kNumStateWords, [settings](std::int64_t num_slots, MappedFile* file) {
            return std::make_unique<Proportional>(settings, num_slots, file);
          }};
}

Proportional::Proportional(const Settings& settings, std::int64_t num_slots, MappedFile* file)
    : PrioritySampler(settings.alpha, settings.beta, num_slots, file),
      eps_(settings.eps),
      stratified_(settings.stratified),
      tree_(num_slots) {
  check_exponent("eps", eps_);
  const double first = max_priority();
  check_priorities("priorities", std::span(&first, 1));
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
  PrioritySampler::clear();
  tree_.clear();
}

double Proportional::leaf(double priority) const {
  double leaf;
  leaves_of(std::span(&priority, 1), std::span(&leaf, 1));
  return leaf;
}

// A positive leaf stays within what the tree can add up; only absurd exponents ever reach its ends.
void Proportional::leaves_of(std::span<const double> priorities, std::span<double> leaves) const {
  for (std::size_t i = 0; i < leaves.size(); ++i) leaves[i] = std::max(priorities[i], 0.0) + eps_;
  power(leaves, alpha(), leaves);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const bool is_zero = priorities[i] < 0.0 || (leaves[i] == 0.0 && priorities[i] + eps_ == 0.0);
    leaves[i] = is_zero ? 0.0 : std::clamp(leaves[i], SumTree::kMinValue, SumTree::kMaxValue);
  }
}

bool Proportional::is_too_large(double priority, double alpha) const {
  return power(priority + eps_, alpha) > SumTree::kMaxValue;
}

void Proportional::check_priorities(const char* argument, std::span<const double> priorities) const {
  PrioritySampler::check_priorities(argument, priorities);
  const auto largest = std::max_element(priorities.begin(), priorities.end());
  if (largest == priorities.end() || !is_too_large(*largest, alpha())) return;
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    if (!is_too_large(priorities[i], alpha())) continue;
    fail_value(argument, "[", i, "]: expected (priority + eps)^alpha of at most 2^900, got ", priorities[i], " with alpha ", alpha());
  }
}

void Proportional::set_alpha(double alpha) {
  check_exponent("alpha", alpha);
  if (is_too_large(max_priority(), alpha)) {
    fail_value("alpha: expected (largest priority + eps)^alpha of at most 2^900, got ", alpha, " with a largest priority of ",
               max_priority());
  }
  PrioritySampler::set_alpha(alpha);
}

void Proportional::check_can_draw(const RowRing& rows, const Span& span, std::int64_t) const {
  check_has_rows(rows, span);
  if (!(tree_.total() > 0.0)) fail_value("sample: every leaf is zero, nothing can be drawn");
}

void Proportional::draw(const RowRing&, const Span&, Philox& random, std::span<std::int64_t> slots) {
  tree_.sample(random, stratified_, slots);
}

double Proportional::masses_of(const RowRing&, const Span&, std::span<const std::int64_t> slots, std::span<double> masses) {
  for (std::size_t i = 0; i < slots.size(); ++i) masses[i] = tree_[slots[i]];
  return tree_.total();
}

std::int64_t Proportional::nbytes() const {
  return PrioritySampler::nbytes() + tree_.nbytes();
}

std::string Proportional::why_invalid(const RowRing& rows, const Span& span) const {
  if (std::string reason = PrioritySampler::why_invalid(rows, span); !reason.empty()) return reason;
  for (std::int64_t slot = 0; slot < rows.num_slots(); ++slot) {
    const double expected = rows.is_ready(rows.row_in(slot), span) ? leaf(priority(slot)) : 0.0;
    if (tree_[slot] != expected) return concat("slot ", slot, " has leaf ", tree_[slot], " instead of ", expected);
  }
  return tree_.why_invalid();
}

}  // namespace mujigae
