// Compiled once for each instruction set (instruction_set.hpp).
// Sums run from left to right, so vectors go across: four rows of 16 at a time, or eight, one in each lane.
#include "sum_tree_loops.hpp"

#if defined(__AVX512F__)
#include "eight_lanes.hpp"
#else
#include "four_lanes.hpp"
#endif

namespace mujigae {
namespace {

using TreeView = SumTree::View;
using Group = TreeGroup;

constexpr std::int64_t kFanOut = SumTree::kFanOut;
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

inline double larger_of(double a, double b) { return a > b ? a : b; }
inline double smaller_of(double a, double b) { return a < b ? a : b; }

// RunningSum of numbers that are not negative, one or a vector of them: with the larger addend known, half a two-sum is enough.
template <class Numbers>
struct RunningSums {
  Numbers high = {}, low = {};

  void add(const Numbers& x) {
    const Numbers sum = high + x;
    low += smaller_of(high, x) - (sum - larger_of(high, x));
    high = sum;
  }
  Numbers value() const { return high + low; }
};

static_assert(TreeLoops::kMostLanes % kLanes == 0 && kFanOut % kLanes == 0);

struct Rows {  // the children of as many nodes as there are lanes
  Rows(const double* children, const std::int64_t* nodes) : begin(children) {
    for (int lane = 0; lane < kLanes; ++lane) first[lane] = nodes[lane] * kFanOut;
  }

  // visit(i, the columns from i on), from left to right.
  template <class Visit>
  void each_columns(const Visit& visit) const {
    for (std::int64_t i = 0; i < kFanOut; i += kLanes) {
      Doubles columns[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) columns[lane] = load(begin + first[lane] + i);
      transpose(columns);
      visit(i, columns);
    }
  }

  const double* begin;
  std::int64_t first[kLanes];
};

// What a later turn of a loop will need of `count` nodes begins to load now: early enough, and not so early that it is gone again.
[[gnu::always_inline]] inline void load_ahead(const double* rows, const std::int64_t* nodes, std::size_t i, std::size_t count) {
  constexpr std::size_t kAhead = 16;
  if (i + kAhead + kLanes > count) return;
  for (int lane = 0; lane < kLanes; ++lane) prefetch_node(rows, nodes[i + kAhead + static_cast<std::size_t>(lane)]);
}

// --- find

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

// --- update

inline void scatter(const Doubles& values, const std::int64_t* nodes, double* to) {
  for (int lane = 0; lane < kLanes; ++lane) to[nodes[lane]] = values[lane];
}

// A step of one environment changes few nodes: so many take less time one by one than in lanes.
constexpr std::size_t kFewNodes = 3;

double sum_node(const double* children, std::int64_t node) {
  RunningSums<double> sums;
  for (std::int64_t child = node * kFanOut; child < (node + 1) * kFanOut; ++child) sums.add(children[child]);
  return sums.value();
}

double sum_node_and_prefixes(const double* children, std::int64_t node, double* prefixes) {
  RunningSums<double> sums;
  for (std::int64_t child = node * kFanOut; child < (node + 1) * kFanOut; ++child) {
    prefixes[child] = sums.value();
    sums.add(children[child]);
  }
  return sums.value();
}

// The totals of nodes out of their children.
void sum_nodes(const double* children, const std::int64_t* nodes, std::size_t count, double* totals) {
  if (count <= kFewNodes) {
    for (std::size_t i = 0; i < count; ++i) totals[nodes[i]] = sum_node(children, nodes[i]);
    return;
  }
  for (std::size_t i = 0; i < count; i += kLanes) {
    load_ahead(children, nodes, i, count);
    const Rows rows(children, nodes + i);
    RunningSums<Doubles> sums;
    rows.each_columns([&](std::int64_t, const Doubles(&columns)[kLanes]) {
      for (const Doubles& column : columns) sums.add(column);
    });
    scatter(sums.value(), nodes + i, totals);
  }
}

// ... and their prefixes too.
void sum_nodes_and_prefixes(const double* children, const std::int64_t* nodes, std::size_t count, double* totals, double* prefixes) {
  if (count <= kFewNodes) {
    for (std::size_t i = 0; i < count; ++i) totals[nodes[i]] = sum_node_and_prefixes(children, nodes[i], prefixes);
    return;
  }
  for (std::size_t i = 0; i < count; i += kLanes) {
    load_ahead(children, nodes, i, count);
    load_ahead(prefixes, nodes, i, count);
    const Rows rows(children, nodes + i);
    RunningSums<Doubles> sums;
    rows.each_columns([&](std::int64_t from, Doubles(&columns)[kLanes]) {
      for (Doubles& column : columns) {
        const Doubles child = column;
        column = sums.value();
        sums.add(child);
      }
      transpose(columns);
      for (int lane = 0; lane < kLanes; ++lane) store(prefixes + rows.first[lane] + from, columns[lane]);
    });
    scatter(sums.value(), nodes + i, totals);
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
  static constexpr TreeLoops kLoops = {descend_all, find_leaves, sum_nodes, sum_nodes_and_prefixes, are_valid};
  return kLoops;
}

}  // namespace mujigae
