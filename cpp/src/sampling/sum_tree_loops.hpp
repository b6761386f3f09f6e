// The loops of the tree, one table of them for each instruction set: sum_tree_loops.cpp and sum_tree_sums.cpp, compiled once for each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mujigae/instruction_set.hpp"
#include "mujigae/sampling/sum_tree.hpp"

namespace mujigae {

struct TreeGroup {  // descents side by side; whole blocks of random words
  static constexpr std::size_t kSize = 16;
  std::size_t count;
  double targets[kSize];  // what is left of them
  std::int64_t nodes[kSize];  // of the tree, from `count` on too
};

namespace {  // each file's own, as the linker must not choose between instruction sets

// GCC drops calls of a function that does nothing but prefetch, unless it is inlined.
[[gnu::always_inline]] inline void prefetch_node(const double* children, std::int64_t node) {
  __builtin_prefetch(children + node * SumTree::kFanOut);
  __builtin_prefetch(children + node * SumTree::kFanOut + SumTree::kFanOut / 2);
}

}  // namespace

struct TreeLoops {
  static constexpr std::size_t kSumLanes = 4;

  // From the root to the blocks of leaves that the targets lie in: nodes and what is left of the targets.
  void (*descend_all)(const SumTree::View& tree, TreeGroup& group);
  // The leaves in those blocks.
  void (*find_leaves)(const SumTree::View& tree, const TreeGroup& group, std::int64_t* out);
  // The totals of `count` nodes out of their children; with prefixes, those too. Behind the nodes their last one is repeated, up to
  // a multiple of kSumLanes.
  void (*sum_nodes)(const double* children, const std::int64_t* nodes, std::size_t count, double* totals);
  void (*sum_nodes_and_prefixes)(const double* children, const std::int64_t* nodes, std::size_t count, double* totals, double* prefixes);
  // Whether all indices are below the capacity and all values are those that a leaf may have.
  bool (*are_valid)(const std::int64_t* indices, const double* values, std::size_t count, std::int64_t capacity);
};

template <InstructionSet kSet>
const TreeLoops& tree_loops();
template <InstructionSet kSet>
void sum_nodes(const double* children, const std::int64_t* nodes, std::size_t count, double* totals);
template <InstructionSet kSet>
void sum_nodes_and_prefixes(const double* children, const std::int64_t* nodes, std::size_t count, double* totals, double* prefixes);

}  // namespace mujigae
