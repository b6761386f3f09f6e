// Compiled once for each instruction set (instruction_set.hpp).
// Sums run from left to right, so vectors go across: four rows of 16 at a time, one in each lane.
#include "sum_tree_loops.hpp"

#include "four_lanes.hpp"

namespace mujigae {
namespace {

using TreeView = SumTree::View;
using Group = TreeGroup;

constexpr std::int64_t kFanOut = SumTree::kFanOut;
constexpr double kInfinity = __builtin_huge_val();

const double* children_at(const TreeView& tree, std::size_t height) {
  return height == 0 ? tree.leaves : tree.totals[height - 1];
}

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

struct RunningSums {  // RunningSum of numbers that are not negative: with the larger addend known, half a two-sum is enough
  Doubles high = {}, low = {};

  void add(const Doubles& x) {
    const Doubles sum = high + x;
    low += smaller_of(high, x) - (sum - larger_of(high, x));
    high = sum;
  }
  Doubles value() const { return high + low; }
};

struct Four {
  std::size_t of[4];
};

// Calls work(which) for four of `count` at a time; the last is repeated to make them four.
template <class Work>
inline void by_fours(std::size_t count, const Work& work) {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) work(Four{{i, i + 1, i + 2, i + 3}});
  if (i == count) return;
  const std::size_t last = count - 1;
  work(Four{{i, i + 1 < last ? i + 1 : last, i + 2 < last ? i + 2 : last, last}});
}

inline Doubles gather(const double* from, const Four& four) {
  return Doubles{from[four.of[0]], from[four.of[1]], from[four.of[2]], from[four.of[3]]};
}

struct Rows {  // the children of four nodes
  Rows(const double* children, const std::int64_t* nodes, const Four& four) : begin(children) {
    for (int lane = 0; lane < 4; ++lane) first[lane] = nodes[four.of[lane]] * kFanOut;
  }

  // From left to right, four columns at a time.
  template <class Visit>
  void each_column(const Visit& visit) const {
    for (std::int64_t i = 0; i < kFanOut; i += 4) {
      Doubles columns[4];
      for (int lane = 0; lane < 4; ++lane) columns[lane] = load(begin + first[lane] + i);
      transpose(columns);
      visit(i, columns);
    }
  }

  const double* begin;
  std::int64_t first[4];
};

// --- find

// One level down for a whole group, so that the misses of its descents overlap. Rounding may leave a target past the last
// child: it goes there, and the leaves will tell.
inline void descend(const TreeView& tree, std::size_t height, Group& group) {
  const double* prefixes = tree.prefixes[height - 1];
  const double* below = height > 1 ? tree.prefixes[height - 2] : tree.leaves;
  const std::int64_t last = tree.num_below[height - 1] - 1;
  for (std::size_t i = 0; i < group.count; ++i) {
    const double* row = prefixes + group.nodes[i] * kFanOut;
    const std::int64_t child = count_at_most(row, group.targets[i]) - 1;  // the first prefix is 0
    group.targets[i] -= row[child];
    const std::int64_t node = group.nodes[i] * kFanOut + child;
    group.nodes[i] = node < last ? node : last;
    prefetch_node(below, group.nodes[i]);
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
  by_fours(group.count, [&](Four four) {
    const Rows rows(tree.leaves, group.nodes, four);
    const Doubles targets = gather(group.targets, four);
    RunningSums sums;
    Words counts = {};
    rows.each_column([&](std::int64_t, const Doubles(&columns)[4]) {
      for (const Doubles& column : columns) {
        sums.add(column);
        counts -= (Words)(sums.value() <= targets);
      }
    });
    for (int lane = 0; lane < 4; ++lane) {
      const std::int64_t leaf = rows.first[lane] + counts[lane];
      out[four.of[lane]] = counts[lane] < kFanOut ? leaf : last_positive_before(tree, leaf);
    }
  });
}

// --- update

// The totals of nodes out of their children.
void sum_nodes(const double* children, const std::int64_t* nodes, std::size_t count, double* totals) {
  by_fours(count, [&](Four four) {
    const Rows rows(children, nodes, four);
    RunningSums sums;
    rows.each_column([&](std::int64_t, const Doubles(&columns)[4]) {
      for (const Doubles& column : columns) sums.add(column);
    });
    const Doubles total = sums.value();
    for (int lane = 0; lane < 4; ++lane) totals[nodes[four.of[lane]]] = total[lane];
  });
}

// ... and their prefixes too.
void sum_nodes_and_prefixes(const double* children, const std::int64_t* nodes, std::size_t count, double* totals,
                            double* prefixes) {
  by_fours(count, [&](Four four) {
    const Rows rows(children, nodes, four);
    RunningSums sums;
    rows.each_column([&](std::int64_t i, Doubles(&columns)[4]) {
      for (Doubles& column : columns) {
        const Doubles child = column;
        column = sums.value();
        sums.add(child);
      }
      transpose(columns);
      for (int lane = 0; lane < 4; ++lane) store(prefixes + rows.first[lane] + i, columns[lane]);
    });
    const Doubles total = sums.value();
    for (int lane = 0; lane < 4; ++lane) totals[nodes[four.of[lane]]] = total[lane];
  });
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
