#include "mujigae/sum_tree.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "mujigae/check.hpp"
#include "mujigae/instruction_set.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kFanOut = SumTree::kFanOut;
constexpr std::size_t kMaxLevels = 16;  // 16^16 blocks: more than any memory

// A sum carried as an unevaluated pair (Knuth's two-sum), rounded only where it is read. Adding zero leaves it unchanged.
struct RunningSum {
  double high = 0.0, low = 0.0;

  double add(double x) {
    const double sum = high + x;
    const double x_part = sum - high;
    low += (high - (sum - x_part)) + (x - x_part);
    high = sum;
    return high + low;
  }
};

struct TreeView {  // plain pointers for the descent
  const double* leaves;
  std::array<const double*, kMaxLevels> totals, prefixes;
  std::size_t num_levels;
};

std::int64_t last_positive_child(const double* children) {
  std::int64_t child = kFanOut - 1;
  while (children[child] <= 0.0) --child;
  return child;
}

// The last positive leaf under a node of level `height - 1`, or in a leaf block when height is 0. Its total is positive.
std::int64_t last_positive(const TreeView& tree, std::size_t height, std::int64_t node) {
  for (; height > 0; --height) {
    node = node * kFanOut + last_positive_child(tree.totals[height - 1] + node * kFanOut);
  }
  return node * kFanOut + last_positive_child(tree.leaves + node * kFanOut);
}

namespace scalar {
#include "sum_tree_find.inl"
}  // namespace scalar

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,popcnt")
namespace avx2 {
#include "sum_tree_find.inl"
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,popcnt")
namespace avx512 {
#include "sum_tree_find.inl"
}  // namespace avx512
#pragma GCC pop_options
#endif

using FindAll = void (*)(const TreeView&, std::span<const double>, std::span<std::int64_t>);

FindAll choose_find_all() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  if (active_instruction_set() == InstructionSet::kAvx2) return avx2::find_all;
  if (active_instruction_set() == InstructionSet::kAvx512) return avx512::find_all;
#endif
  return scalar::find_all;
}

std::int64_t round_up(std::int64_t count) { return (count + kFanOut - 1) / kFanOut * kFanOut; }

double sum_left_to_right(const double* values) {
  RunningSum sum;
  double total = 0.0;
  for (std::int64_t i = 0; i < kFanOut; ++i) total = sum.add(values[i]);
  return total;
}

}  // namespace

SumTree::SumTree(std::int64_t capacity) : capacity_(capacity) {
  if (capacity < 1 || capacity > kMaxCapacity) fail_value("capacity: expected 1 to 2^40, got ", capacity);
  leaves_ = Column<double>(round_up(capacity));
  std::int64_t num_children = leaves_.size() / kFanOut;
  do {
    Level level;
    level.totals = Column<double>(round_up(num_children));
    level.prefixes = Column<double>(level.totals.size());
    num_children = level.totals.size() / kFanOut;
    level.stamp = Column<std::uint32_t>(num_children);
    levels_.push_back(std::move(level));
  } while (num_children > 1);
}

void SumTree::check(std::span<const std::int64_t> indices, std::span<const double> values) const {
  if (indices.size() != values.size()) {
    fail_value("values: expected ", indices.size(), " of them, one for each index, got ", values.size());
  }
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < 0 || indices[i] >= capacity_) {
      fail_index("indices[", i, "]: expected 0 <= index < ", capacity_, ", got ", indices[i]);
    }
    if (values[i] != 0.0 && !(values[i] >= kMinValue && values[i] <= kMaxValue)) {
      fail_value("values[", i, "]: expected 0, or a number from 2^-900 to 2^900, got ", values[i]);
    }
  }
}

void SumTree::update(std::span<const std::int64_t> indices, std::span<const double> values) {
  check(indices, values);
  touched_.clear();
  touched_.reserve(indices.size());
  for (std::size_t i = 0; i < indices.size(); ++i) {
    leaves_[indices[i]] = values[i] + 0.0;  // -0.0 becomes 0.0
    const std::int64_t block = indices[i] / kFanOut;
    if (touched_.empty() || touched_.back() != block) touched_.push_back(block);
  }
  if (++num_updates_ == 0) {  // once in 2^32 updates the stamps start over
    for (Level& level : levels_) std::fill(level.stamp.begin(), level.stamp.end(), 0);
    num_updates_ = 1;
  }
  const double* children = leaves_.data();
  for (Level& level : levels_) {
    refresh_level(level, children, touched_);
    children = level.totals.data();
  }
}

// `touched` holds the children whose own values changed; afterwards the nodes of `level` that changed with them.
void SumTree::refresh_level(Level& level, const double* grandchildren, std::vector<std::int64_t>& touched) {
  std::size_t num_nodes = 0;
  for (const std::int64_t child : touched) {
    level.totals[child] = sum_left_to_right(grandchildren + child * kFanOut);
    const std::int64_t node = child / kFanOut;
    std::uint32_t& stamp = level.stamp[node];
    if (stamp != num_updates_) touched[num_nodes++] = node;
    stamp = num_updates_;
  }
  touched.resize(num_nodes);
  for (const std::int64_t node : touched) {
    RunningSum sum;
    const std::int64_t first = node * kFanOut;
    for (std::int64_t i = first; i < first + kFanOut; ++i) level.prefixes[i] = sum.add(level.totals[i]);
  }
}

void SumTree::clear() {
  std::fill(leaves_.begin(), leaves_.end(), 0.0);
  for (Level& level : levels_) {
    std::fill(level.totals.begin(), level.totals.end(), 0.0);
    std::fill(level.prefixes.begin(), level.prefixes.end(), 0.0);
  }
}

void SumTree::find(std::span<const double> targets, std::span<std::int64_t> out) const {
  if (!(total() > 0.0)) fail_value("find: every leaf is zero, nothing can be found");
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!(targets[i] >= 0.0)) fail_value("targets[", i, "]: expected a number of at least 0, got ", targets[i]);
  }
  TreeView view{leaves_.data(), {}, {}, levels_.size()};
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    view.totals[level] = levels_[level].totals.data();
    view.prefixes[level] = levels_[level].prefixes.data();
  }
  static const FindAll find_all = choose_find_all();
  find_all(view, targets, out);
}

void SumTree::sample(Philox& random, bool stratified, std::span<std::int64_t> out) const {
  if (out.empty()) fail_value("batch_size: expected at least 1, got 0");
  if (!(total() > 0.0)) fail_value("sample: every leaf is zero, nothing can be drawn");
  std::vector<std::uint64_t> words(out.size());
  std::vector<double> targets(out.size());
  random.fill(words);
  const double slice = stratified ? total() / static_cast<double>(out.size()) : total();
  for (std::size_t i = 0; i < out.size(); ++i) {
    targets[i] = ((stratified ? static_cast<double>(i) : 0.0) + unit_interval(words[i])) * slice;
  }
  find(targets, out);
}

double SumTree::min_positive() const {
  double smallest = std::numeric_limits<double>::infinity();
  for (const double leaf : leaves_) smallest = leaf > 0.0 && leaf < smallest ? leaf : smallest;
  return smallest;
}

std::int64_t SumTree::nbytes() const {
  std::int64_t bytes = leaves_.nbytes();
  for (const Level& level : levels_) bytes += level.totals.nbytes() + level.prefixes.nbytes() + level.stamp.nbytes();
  return bytes;
}

std::string SumTree::why_invalid() const {
  for (std::int64_t i = 0; i < leaves_.size(); ++i) {
    if (!(leaves_[i] >= 0.0 && leaves_[i] <= kMaxValue)) return concat("leaf ", i, " is ", leaves_[i]);
  }
  const Column<double>* children = &leaves_;
  for (std::size_t height = 0; height < levels_.size(); ++height) {
    const Level& level = levels_[height];
    for (std::int64_t node = 0; node < level.stamp.size(); ++node) {
      RunningSum sum;
      for (std::int64_t i = node * kFanOut; i < (node + 1) * kFanOut; ++i) {
        const double expected = i * kFanOut < children->size() ? sum_left_to_right(children->data() + i * kFanOut) : 0.0;
        if (level.totals[i] != expected) return concat("level ", height, " total ", i, " is not the sum of its children");
        if (level.prefixes[i] != sum.add(level.totals[i])) return concat("level ", height, " prefix ", i, " is stale");
      }
    }
    children = &level.totals;
  }
  return {};
}

}  // namespace mujigae
