// Sums of nodes, for updates. Compiled once for each instruction set (instruction_set.hpp), with four lanes in each: eight take 4% to
// 20% longer for leaves in cache (Zen 4, batches of 2048 down to 4), and as long for others.
#include "sum_tree_loops.hpp"

#include "four_lanes.hpp"
#include "sum_tree_rows.hpp"

namespace mujigae {
namespace {

static_assert(TreeLoops::kSumLanes == kLanes);

// What a later turn of a loop will need of `count` nodes begins to load now: early enough, and not so early that it is gone again.
[[gnu::always_inline]] inline void load_ahead(const double* rows, const std::int64_t* nodes, std::size_t i, std::size_t count) {
  constexpr std::size_t kAhead = 16;
  if (i + kAhead + kLanes > count) return;
  for (int lane = 0; lane < kLanes; ++lane) prefetch_node(rows, nodes[i + kAhead + static_cast<std::size_t>(lane)]);
}

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

}  // namespace

template <>
void sum_nodes<MUJIGAE_SET>(const double* children, const std::int64_t* nodes, std::size_t count, double* totals) {
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

template <>
void sum_nodes_and_prefixes<MUJIGAE_SET>(const double* children, const std::int64_t* nodes, std::size_t count, double* totals,
                                         double* prefixes) {
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

}  // namespace mujigae
