// Rows of a node's children, several at a time. Sums run from left to right, so vectors go across: one row in each lane.
// For files that are compiled once for each instruction set, below their lanes (four_lanes.hpp or eight_lanes.hpp).
#pragma once

#include <cstdint>

#include "mujigae/sampling/sum_tree.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kFanOut = SumTree::kFanOut;
static_assert(kFanOut % kLanes == 0);

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

}  // namespace
}  // namespace mujigae
