// The loops of the tree, compiled once for each instruction set (sum_tree.cpp includes it within a namespace and a target).
// Sums run from left to right, so vectors go across: four rows of 16 at a time, one in each lane.

struct RunningSums {  // RunningSum, of numbers that are not negative: the larger addend is known, which saves half of a two-sum
  Doubles high = {}, low = {};

  void add(const Doubles& x) {
    const Doubles sum = high + x;
    low += smaller_of(high, x) - (sum - larger_of(high, x));
    high = sum;
  }
  Doubles value() const { return high + low; }
};

// The columns of four rows of 16 from left to right, four columns at a time.
template <class Visit>
inline void each_column(const double* const (&rows)[4], const Visit& visit) {
  for (std::int64_t i = 0; i < kFanOut; i += 4) {
    Doubles columns[4] = {load(rows[0] + i), load(rows[1] + i), load(rows[2] + i), load(rows[3] + i)};
    transpose(columns);
    visit(i, columns);
  }
}

struct Four {
  std::size_t of[4];
};

// Calls work(which) for four of `count` at a time; the last is repeated to make them four.
template <class Work>
inline void by_fours(std::size_t count, const Work& work) {
  for (std::size_t i = 0; i < count; i += 4) {
    const std::size_t last = count - 1;
    work(Four{{i, i + 1 < last ? i + 1 : last, i + 2 < last ? i + 2 : last, i + 3 < last ? i + 3 : last}});
  }
}

// --- find

// One level down for a whole group, so that the misses of all its descents overlap. Rounding may leave a target past the last
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
    const auto& [a, b, c, d] = four.of;
    const std::int64_t first[4] = {group.nodes[a] * kFanOut, group.nodes[b] * kFanOut, group.nodes[c] * kFanOut,
                                   group.nodes[d] * kFanOut};
    const double* const rows[4] = {tree.leaves + first[0], tree.leaves + first[1], tree.leaves + first[2], tree.leaves + first[3]};
    const Doubles targets = {group.targets[a], group.targets[b], group.targets[c], group.targets[d]};
    RunningSums sums;
    Words counts = {};
    each_column(rows, [&](std::int64_t, const Doubles(&columns)[4]) {
      for (const Doubles& column : columns) {
        sums.add(column);
        counts -= (Words)(sums.value() <= targets);
      }
    });
    for (int lane = 0; lane < 4; ++lane) {
      const std::int64_t leaf = first[lane] + counts[lane];
      out[four.of[lane]] = counts[lane] < kFanOut ? leaf : last_positive_before(tree, leaf);
    }
  });
}

// --- update

void sum_blocks(const double* leaves, const std::int64_t* blocks, std::size_t count, double* totals) {
  by_fours(count, [&](Four four) {
    const auto& [a, b, c, d] = four.of;
    const double* const rows[4] = {leaves + blocks[a] * kFanOut, leaves + blocks[b] * kFanOut, leaves + blocks[c] * kFanOut,
                                   leaves + blocks[d] * kFanOut};
    RunningSums sums;
    each_column(rows, [&](std::int64_t, const Doubles(&columns)[4]) {
      for (const Doubles& column : columns) sums.add(column);
    });
    const Doubles total = sums.value();
    for (int lane = 0; lane < 4; ++lane) totals[blocks[four.of[lane]]] = total[lane];
  });
}

// The prefixes of nodes out of their totals, and the totals of the level above.
void sum_nodes(const double* totals, const std::int64_t* nodes, std::size_t count, double* prefixes, double* totals_above) {
  by_fours(count, [&](Four four) {
    const auto& [a, b, c, d] = four.of;
    const std::int64_t first[4] = {nodes[a] * kFanOut, nodes[b] * kFanOut, nodes[c] * kFanOut, nodes[d] * kFanOut};
    const double* const rows[4] = {totals + first[0], totals + first[1], totals + first[2], totals + first[3]};
    RunningSums sums;
    each_column(rows, [&](std::int64_t column, Doubles(&columns)[4]) {
      for (Doubles& before : columns) {
        const Doubles child = before;
        before = sums.value();
        sums.add(child);
      }
      transpose(columns);
      for (int lane = 0; lane < 4; ++lane) store(prefixes + first[lane] + column, columns[lane]);
    });
    const Doubles total = sums.value();
    for (int lane = 0; lane < 4; ++lane) totals_above[nodes[four.of[lane]]] = total[lane];
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
