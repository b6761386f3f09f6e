// A tree of partial sums over `capacity` non-negative float64 leaves, for drawing leaves in proportion to their values.
//
//   level 2            [ node 0 ]                        one node
//                     /    |     \                       .
//   level 1     [ node 0 ]  ...  [ node 15 ]             16 children each: their totals, and the sums of those before each
//                /  |  \           /  |  \               .
//   leaves    [0..15] [16..31] ...  [4080..4095] ...     blocks of 16 values
//
// A total is the sum of 16 children from left to right, carried to about 106 bits and rounded once, and it is recomputed, never
// incremented: the tree is a function of its leaves, whatever the order or batching of the updates.
//
// A descent goes to the last child whose prefix, the sum before it, is at most the target, and subtracts that prefix. Equal
// prefixes (zero children) are passed over, so a zero leaf is never found. Rounding may leave a target past the last leaf of
// the block that it comes to, and a target at or beyond the total is sent to the last block; both find the last positive leaf
// from there to the left.
//
// Descents go in groups, level by level, so that their waits for memory overlap, and four or eight nodes are summed abreast; each lane
// does what a scalar would, and every instruction set gives the same bits.
// O(log16 N) find and update, O(N) min_positive. float64: a level adds a relative error of about 2^-53 to a total, so every
// leaf is found with its share of the total to within 2^-50. Values stay within 2^-900 ... 2^900, where nothing under- or
// overflows.
// Threads: any number of readers, or one writer; the owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mujigae/storage/column.hpp"
#include "mujigae/sampling/random.hpp"

namespace mujigae {

class SumTree {
 public:
  static constexpr std::int64_t kFanOut = 16;
  static constexpr double kMinValue = 0x1p-900, kMaxValue = 0x1p900;  // of a leaf that is not zero
  static constexpr std::int64_t kMaxCapacity = std::int64_t{1} << 40;

  struct View {  // plain pointers, for the loops
    static constexpr std::size_t kMaxLevels = 10;  // of 2^40 leaves
    const double* leaves;
    const double *totals[kMaxLevels], *prefixes[kMaxLevels];
    std::int64_t num_below[kMaxLevels];  // nodes of the level below, blocks of leaves for the first
    std::size_t num_levels;
    double total;
  };

  explicit SumTree(std::int64_t capacity);

  // leaf[indices[i]] = values[i]; of duplicates the last wins. Checks every argument before the first change.
  void update(std::span<const std::int64_t> indices, std::span<const double> values);
  void reserve(std::size_t num_values);  // the next updates of so many allocate nothing
  void clear();

  // The smallest i with target < leaf[0] + ... + leaf[i]; the last positive leaf if there is none.
  void find(std::span<const double> targets, std::span<std::int64_t> out) const;

  // out.size() leaves with P(i) = leaf[i] / total. Stratified: the i-th from the i-th of out.size() equal slices of the total.
  void sample(Philox& random, bool stratified, std::span<std::int64_t> out) const;

  double operator[](std::int64_t index) const { return leaves_[index]; }
  std::int64_t capacity() const { return capacity_; }
  double total() const { return total_; }
  double min_positive() const;  // infinity when every leaf is zero
  std::int64_t nbytes() const;

  std::string why_invalid() const;  // empty when every node is the sum of its children

 private:
  struct Level {  // node j has totals[16 j ... 16 j + 15] of its children; in prefixes the sums of those before each
    std::int64_t num_nodes() const { return stamp.size(); }

    Column<double> totals, prefixes;
    Column<std::uint32_t> stamp;  // [nodes] the update that last touched a node: each is recomputed once an update
  };

  View view() const;
  void check(std::span<const std::int64_t> indices, std::span<const double> values) const;
  std::size_t write_leaves(std::span<const std::int64_t> indices, std::span<const double> values);
  std::size_t touch_parents(Level& level, std::size_t count);
  std::size_t filled_up(std::size_t count);

  std::int64_t capacity_;
  Column<double> leaves_;  // padded with zeros to whole blocks
  std::vector<Level> levels_;   // from the parents of the blocks up to the root; never empty
  std::vector<std::int64_t> touched_;
  double total_ = 0.0;
  std::uint32_t num_updates_ = 0;
};

}  // namespace mujigae
