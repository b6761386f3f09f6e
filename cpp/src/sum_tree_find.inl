// The descent, compiled once for each instruction set (sum_tree.cpp includes it within a namespace and a target).
// Counting the prefixes at or below the target is sixteen equal comparisons, which every compiler turns into vector compares.

inline std::int64_t count_at_most(const double* prefix, double target) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < kFanOut; ++i) count += prefix[i] <= target ? 1 : 0;
  return count;
}

inline std::int64_t find_in_block(const double* block, double target) {
  double prefix[kFanOut];
  RunningSum sum;
  for (std::int64_t i = 0; i < kFanOut; ++i) prefix[i] = sum.add(block[i]);
  return count_at_most(prefix, target);
}

std::int64_t find_one(const TreeView& tree, double target) {
  std::int64_t node = 0;
  for (std::size_t height = tree.num_levels; height > 0; --height) {
    const double* prefix = tree.prefixes[height - 1] + node * kFanOut;
    if (target >= prefix[kFanOut - 1]) return last_positive(tree, height, node);
    const std::int64_t child = count_at_most(prefix, target);
    target -= child > 0 ? prefix[child - 1] : 0.0;
    node = node * kFanOut + child;
  }
  const std::int64_t leaf = find_in_block(tree.leaves + node * kFanOut, target);
  return leaf < kFanOut ? node * kFanOut + leaf : last_positive(tree, 0, node);
}

void find_all(const TreeView& tree, std::span<const double> targets, std::span<std::int64_t> out) {
  for (std::size_t i = 0; i < targets.size(); ++i) out[i] = find_one(tree, targets[i]);
}
