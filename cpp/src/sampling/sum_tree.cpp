#include "mujigae/sampling/sum_tree.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "mujigae/check.hpp"
#include "mujigae/instruction_set.hpp"
#include "sum_tree_loops.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kFanOut = SumTree::kFanOut;

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

// The loops for the instruction set in use.
const TreeLoops& loops() {
  static const TreeLoops& chosen = of_active_set([]<InstructionSet kSet>() -> const TreeLoops& { return tree_loops<kSet>(); });
  return chosen;
}

// Fills groups of targets and finds them. While the leaves of one group are on their way from memory, the next one goes down.
template <class Fill>
void find_groups(const SumTree::View& tree, std::span<std::int64_t> out, const Fill& fill) {
  const TreeLoops& run = loops();
  TreeGroup groups[2] = {};
  std::size_t begin = 0;
  for (std::size_t g = 0; begin < out.size(); ++g, begin += TreeGroup::kSize) {
    TreeGroup& group = groups[g % 2];
    group.count = std::min(TreeGroup::kSize, out.size() - begin);
    fill(begin, group);
    run.descend_all(tree, group);
    if (g > 0) run.find_leaves(tree, groups[1 - g % 2], out.data() + begin - TreeGroup::kSize);
  }
  if (begin > 0) run.find_leaves(tree, groups[(begin / TreeGroup::kSize - 1) % 2], out.data() + begin - TreeGroup::kSize);
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
  if (loops().are_valid(indices.data(), values.data(), indices.size(), capacity_)) return;
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
  reserve(indices.size());
  if (++num_updates_ == 0) {  // once in 2^32 updates the stamps start over
    for (Level& level : levels_) std::fill(level.stamp.begin(), level.stamp.end(), 0);
    num_updates_ = 1;
  }
  std::size_t count = write_leaves(indices, values);
  loops().sum_nodes(leaves_.data(), touched_.data(), count, levels_[0].totals.data());
  for (std::size_t height = 0; height < levels_.size(); ++height) {
    Level& level = levels_[height];
    double* totals = height + 1 < levels_.size() ? levels_[height + 1].totals.data() : &total_;
    count = touch_parents(level, count);
    loops().sum_nodes_and_prefixes(level.totals.data(), touched_.data(), count, totals, level.prefixes.data());
  }
}

void SumTree::reserve(std::size_t num_values) { touched_.resize(std::max(touched_.size(), num_values + TreeLoops::kSumLanes)); }

// Repeats the last node of touched_, so that the loops may take the nodes in groups.
std::size_t SumTree::filled_up(std::size_t count) {
  for (std::size_t i = count; i % TreeLoops::kSumLanes != 0; ++i) touched_[i] = touched_[count - 1];
  return count;
}

// Leaves the blocks written in touched_, runs of one block once; returns how many.
std::size_t SumTree::write_leaves(std::span<const std::int64_t> indices, std::span<const double> values) {
  constexpr std::size_t kAhead = 16;
  std::size_t count = 0;
  std::int64_t previous = -1;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (i + kAhead < indices.size()) prefetch_node(leaves_.data(), indices[i + kAhead] / kFanOut);
    leaves_[indices[i]] = values[i] + 0.0;  // -0.0 becomes 0.0
    const std::int64_t block = indices[i] / kFanOut;
    touched_[count] = block;
    count += block != previous ? 1 : 0;
    previous = block;
  }
  return filled_up(count);
}

// The nodes of `level` above the `count` children in touched_ take their place, each once; returns how many.
std::size_t SumTree::touch_parents(Level& level, std::size_t count) {
  std::size_t num_nodes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t node = touched_[i] / kFanOut;
    std::uint32_t& stamp = level.stamp[node];
    touched_[num_nodes] = node;
    num_nodes += stamp != num_updates_ ? 1 : 0;
    stamp = num_updates_;
  }
  return filled_up(num_nodes);
}

void SumTree::clear() {
  std::fill(leaves_.begin(), leaves_.end(), 0.0);
  for (Level& level : levels_) {
    std::fill(level.totals.begin(), level.totals.end(), 0.0);
    std::fill(level.prefixes.begin(), level.prefixes.end(), 0.0);
  }
  total_ = 0.0;
}

void SumTree::find(std::span<const double> targets, std::span<std::int64_t> out) const {
  if (!(total() > 0.0)) fail_value("find: every leaf is zero, nothing can be found");
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!(targets[i] >= 0.0)) fail_value("targets[", i, "]: expected a number of at least 0, got ", targets[i]);
  }
  find_groups(view(), out, [&](std::size_t begin, TreeGroup& group) { std::copy_n(targets.data() + begin, group.count, group.targets); });
}

void SumTree::sample(Philox& random, bool stratified, std::span<std::int64_t> out) const {
  if (out.empty()) fail_value("batch_size: expected at least 1, got 0");
  if (!(total() > 0.0)) fail_value("sample: every leaf is zero, nothing can be drawn");
  const double slice = stratified ? total() / static_cast<double>(out.size()) : total();
  std::array<std::uint64_t, TreeGroup::kSize> words;
  find_groups(view(), out, [&](std::size_t begin, TreeGroup& group) {
    random.fill(std::span(words).first(group.count));
    for (std::size_t i = 0; i < group.count; ++i) {
      group.targets[i] = ((stratified ? static_cast<double>(begin + i) : 0.0) + unit_interval(words[i])) * slice;
    }
  });
}

SumTree::View SumTree::view() const {
  View view{leaves_.data(), {}, {}, {}, levels_.size(), total_};
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    view.totals[level] = levels_[level].totals.data();
    view.prefixes[level] = levels_[level].prefixes.data();
    view.num_below[level] = level == 0 ? leaves_.size() / kFanOut : levels_[level - 1].num_nodes();
  }
  return view;
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
    for (std::int64_t node = 0; node < level.num_nodes(); ++node) {
      RunningSum sum;
      for (std::int64_t i = node * kFanOut; i < (node + 1) * kFanOut; ++i) {
        const double expected = i * kFanOut < children->size() ? sum_left_to_right(children->data() + i * kFanOut) : 0.0;
        if (level.totals[i] != expected) return concat("level ", height, " total ", i, " is not the sum of its children");
        if (level.prefixes[i] != sum.high + sum.low) return concat("level ", height, " prefix ", i, " is stale");
        sum.add(level.totals[i]);
      }
    }
    children = &level.totals;
  }
  return total_ == sum_left_to_right(children->data()) ? "" : "the total is not the sum of the root's children";
}

}  // namespace mujigae
