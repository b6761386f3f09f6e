#include "mujigae/sampling/proportional.hpp"

#include <algorithm>

#include "mujigae/check.hpp"
#include "mujigae/sampling/power.hpp"
#include "mujigae/sampling/ready_rows.hpp"
#include "mujigae/sampling/undrawn.hpp"

namespace mujigae {

SamplerPlan Proportional::plan(const Settings& settings) {
  constexpr std::int64_t kTreeBytes = 10;  // of a leaf and its share of the nodes: an upper bound
  return {sizeof(double), kTreeBytes, kNumStateWords,
          [settings](std::int64_t num_slots, MappedFile* file) { return std::make_unique<Proportional>(settings, num_slots, file); }};
}

Proportional::Proportional(const Settings& settings, std::int64_t num_slots, MappedFile* file)
    : PrioritySampler(settings.alpha, settings.beta, num_slots, file),
      eps_(settings.eps),
      uniform_share_(settings.uniform_share),
      stratified_(settings.stratified),
      replacement_(settings.replacement),
      tree_(num_slots) {
  check_exponent("eps", eps_);
  if (!(uniform_share_ >= 0.0 && uniform_share_ <= 1.0)) fail_value("uniform_share: expected 0 to 1, got ", uniform_share_);
  const double first = max_priority();
  check_priorities("priorities", std::span(&first, 1));
}

void Proportional::reserve(std::int64_t num_changes) {
  const std::size_t num_changed = changed_slots_.size() + static_cast<std::size_t>(num_changes);
  for (auto* column : {&changed_priorities_, &changed_leaves_}) column->reserve(num_changed);
  changed_slots_.reserve(num_changed);
  tree_.reserve(num_changed);
}

void Proportional::commit() {
  changed_leaves_.resize(changed_slots_.size());
  if (changed_slots_.size() <= 2) {  // the row of a step enters, and another may leave
    std::transform(changed_priorities_.begin(), changed_priorities_.end(), changed_leaves_.begin(),
                   [this](double p) { return leaf_again(p); });
  } else {
    leaves_of(changed_priorities_, changed_leaves_);
  }
  tree_.update(changed_slots_, changed_leaves_);
  changed_slots_.clear();
  changed_priorities_.clear();
}

void Proportional::clear() {
  PrioritySampler::clear();
  tree_.clear();
}

double Proportional::leaf_again(double priority) {
  if (priority < 0.0) return 0.0;
  if (priority != last_.priority || alpha() != last_.alpha) last_ = {priority, alpha(), leaf(priority)};
  return last_.leaf;
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

bool Proportional::is_too_large(double priority, double alpha) const { return power(priority + eps_, alpha) > SumTree::kMaxValue; }

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

void Proportional::check_can_draw(const RowRing& rows, const Span& span, std::int64_t batch_size) const {
  check_has_rows(rows, span);
  if (uniform_share_ == 0.0 && !(tree_.total() > 0.0)) fail_value("sample: every leaf is zero, nothing can be drawn");
  if (!replacement_) check_are_enough(count_drawable(rows, span, batch_size), batch_size);
}

// Rows that can be drawn by their priority or uniformly; no more than `enough` are counted where counting takes long.
std::int64_t Proportional::count_drawable(const RowRing& rows, const Span& span, std::int64_t enough) const {
  if (eps_ > 0.0 || uniform_share_ > 0.0) return rows.num_ready(span);
  std::int64_t count = 0;
  for (std::int64_t slot = 0; slot < tree_.capacity() && count < enough; ++slot) count += tree_[slot] > 0.0 ? 1 : 0;
  return count;
}

void Proportional::draw(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) {
  if (!replacement_) return draw_distinct(rows, span, random, slots);
  if (uniform_share_ > 0.0) return draw_mixed(rows, span, random, slots);
  tree_.sample(random, stratified_, slots);
}

// Which draws are uniform; none takes a random number when none can be.
std::vector<bool> Proportional::draw_coins(Philox& random, std::size_t count) const {
  std::vector<bool> is_uniform(count);
  if (uniform_share_ == 0.0) return is_uniform;
  std::vector<std::uint64_t> words(count);
  random.fill(words);
  for (std::size_t i = 0; i < count; ++i) is_uniform[i] = unit_interval(words[i]) < uniform_share_ || tree_.total() == 0.0;
  return is_uniform;
}

void Proportional::draw_mixed(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) const {
  const ReadyRows ready(rows, span);
  const std::vector<bool> is_uniform = draw_coins(random, slots.size());
  std::vector<std::uint64_t> words(static_cast<std::size_t>(std::count(is_uniform.begin(), is_uniform.end(), true)));
  std::vector<std::int64_t> from_tree(slots.size() - words.size());
  random.fill(words);
  if (!from_tree.empty()) tree_.sample(random, stratified_, from_tree);
  auto word = words.begin();
  auto slot = from_tree.begin();
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = is_uniform[i] ? ready.slot(scale_word(*word++, ready.size())) : *slot++;
}

void Proportional::draw_distinct(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) {
  constexpr double kZero = 0.0;
  const ReadyRows ready(rows, span);
  Undrawn undrawn(ready.size(), slots.size());
  const std::vector<bool> is_uniform = draw_coins(random, slots.size());
  std::vector<std::uint64_t> words(slots.size());
  std::vector<double> leaves(slots.size());
  random.fill(words);
  tree_.reserve(slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (is_uniform[i] || tree_.total() == 0.0) {
      slots[i] = ready.slot(undrawn.take(scale_word(words[i], undrawn.size())));
    } else {
      const double target = unit_interval(words[i]) * tree_.total();
      tree_.find(std::span(&target, 1), slots.subspan(i, 1));
      undrawn.remove(ready.position(slots[i]));
    }
    leaves[i] = tree_[slots[i]];
    tree_.update(slots.subspan(i, 1), std::span(&kZero, 1));
  }
  tree_.update(slots, leaves);
}

double Proportional::masses_of(const RowRing& rows, const Span& span, std::span<const std::int64_t> slots, std::span<double> masses) {
  for (std::size_t i = 0; i < slots.size(); ++i) masses[i] = tree_[slots[i]];
  if (uniform_share_ == 0.0) return tree_.total();
  const double total = tree_.total(), uniform = 1.0 / static_cast<double>(rows.num_ready(span));
  for (double& mass : masses) mass = (1.0 - uniform_share_) * (total > 0.0 ? mass / total : uniform) + uniform_share_ * uniform;
  return 1.0;
}

std::int64_t Proportional::nbytes() const { return PrioritySampler::nbytes() + tree_.nbytes(); }

std::string Proportional::why_invalid(const RowRing& rows, const Span& span) const {
  if (std::string reason = PrioritySampler::why_invalid(rows, span); !reason.empty()) return reason;
  for (std::int64_t slot = 0; slot < rows.num_slots(); ++slot) {
    const double expected = rows.is_ready(rows.row_in(slot), span) ? leaf(priority(slot)) : 0.0;
    if (tree_[slot] != expected) return concat("slot ", slot, " has leaf ", tree_[slot], " instead of ", expected);
  }
  return tree_.why_invalid();
}

}  // namespace mujigae
