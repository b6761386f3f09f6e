// Draws and checks. Compiled once for each instruction set (instruction_set.hpp).
#include "sum_tree_loops.hpp"

#if defined(__AVX512F__)
#include "eight_lanes.hpp"
#else
#include "four_lanes.hpp"
#endif
#include "sum_tree_rows.hpp"

namespace mujigae {
namespace {

using TreeView = SumTree::View;
using Group = TreeGroup;

constexpr double kInfinity = __builtin_huge_val();

const double* children_at(const TreeView& tree, std::size_t height) { return height == 0 ? tree.leaves : tree.totals[height - 1]; }

// The last leaf before `end` that is not zero; there is one. Up to the first node with something to the left, and down again.
std::int64_t last_positive_before(const TreeView& tree, std::int64_t end) {
  std::size_t height = 0;
  std::int64_t child = end - 1;
  while (children_at(tree, height)[child] <= 0.0) {
    while (child % kFanOut == 0) {  // the first of its node
      child /= kFanOut;
      ++height;
    }
    --child;
  }
  for (; height > 0; --height) {
    child = child * kFanOut + kFanOut - 1;
    while (children_at(tree, height - 1)[child] <= 0.0) --child;
  }
  return child;
}

constexpr std::int64_t kNearNodes = 256;  // so many lie in the nearest caches anyway

// One level down for a whole group, so that the misses of its descents overlap. Rounding may leave a target past the last
// child: it goes there, and the leaves will tell.
inline void descend(const TreeView& tree, std::size_t height, Group& group) {
  const double* prefixes = tree.prefixes[height - 1];
  const double* below = height > 1 ? tree.prefixes[height - 2] : tree.leaves;
  const std::int64_t last = tree.num_below[height - 1] - 1;
  const bool is_far = last >= kNearNodes;
  for (std::size_t i = 0; i < group.count; ++i) {
    const double* row = prefixes + group.nodes[i] * kFanOut;
    const std::int64_t child = count_at_most(row, group.targets[i]) - 1;  // the first prefix is 0
    group.targets[i] -= row[child];
    const std::int64_t node = group.nodes[i] * kFanOut + child;
    group.nodes[i] = node < last ? node : last;
    if (is_far) prefetch_node(below, group.nodes[i]);
  }
}

void descend_all(const TreeView& tree, Group& group) {
  for (std::size_t i = 0; i < group.count; ++i) {
    group.nodes[i] = 0;
    group.targets[i] = group.targets[i] < tree.total ? group.targets[i] : kInfinity;  // past all children, all the way
  }
  for (std::size_t height = tree.num_levels; height > 0; --height) descend(tree, height, group);
}

void find_leaves(const TreeView& tree, const Group& group, std::int64_t* out) {
  for (std::size_t i = 0; i < group.count; i += kLanes) {
    const Rows rows(tree.leaves, group.nodes + i);
    const Doubles targets = load(group.targets + i);
    RunningSums<Doubles> sums;
    Words counts = {};
    rows.each_columns([&](std::int64_t, const Doubles(&columns)[kLanes]) {
      for (const Doubles& column : columns) {
        sums.add(column);
        count_at_most(sums.value(), targets, counts);
      }
    });
    for (std::size_t lane = 0; lane < kLanes && i + lane < group.count; ++lane) {
      const std::int64_t leaf = rows.first[lane] + counts[lane];
      out[i + lane] = counts[lane] < kFanOut ? leaf : last_positive_before(tree, leaf);
    }
  }
}

bool are_valid(const std::int64_t* indices, const double* values, std::size_t count, std::int64_t capacity) {
  bool is_wrong = false;
  for (std::size_t i = 0; i < count; ++i) {
    const auto index = static_cast<std::uint64_t>(indices[i]);
    is_wrong |= index >= static_cast<std::uint64_t>(capacity);
    is_wrong |= !((values[i] >= SumTree::kMinValue && values[i] <= SumTree::kMaxValue) || values[i] == 0.0);
  }
  return !is_wrong;
}

}  // namespace

template <>
const TreeLoops& tree_loops<MUJIGAE_SET>() {
  static constexpr TreeLoops kLoops = {descend_all, find_leaves, sum_nodes<MUJIGAE_SET>, sum_nodes_and_prefixes<MUJIGAE_SET>, are_valid};
  return kLoops;
}

}  // namespace mujigae
