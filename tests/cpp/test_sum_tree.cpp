#include "mujigae/sampling/sum_tree.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "mujigae/sampling/random.hpp"

using mujigae::Philox;
using mujigae::SumTree;

namespace {

constexpr std::int64_t kCapacities[] = {1, 2, 3, 5, 7, 15, 16, 17, 255, 256, 257, 1000, 4097};
using Random = std::mt19937_64;

std::int64_t below(Random& random, std::int64_t end) { return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(end)); }

std::vector<std::int64_t> all_indices(std::int64_t capacity) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(capacity));
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i);
  return indices;
}

SumTree tree_of(const std::vector<double>& leaves) {
  SumTree tree(static_cast<std::int64_t>(leaves.size()));
  tree.update(all_indices(tree.capacity()), leaves);
  return tree;
}

std::int64_t find(const SumTree& tree, double target) {
  std::int64_t found = -1;
  tree.find({&target, 1}, {&found, 1});
  return found;
}

void set(SumTree& tree, std::int64_t index, double value) { tree.update({&index, 1}, {&value, 1}); }

std::int64_t last_positive(const std::vector<double>& leaves) {
  auto i = static_cast<std::int64_t>(leaves.size()) - 1;
  while (leaves[static_cast<std::size_t>(i)] <= 0.0) --i;
  return i;
}

// The definition. Exact when all sums are: here leaves are small integers.
std::int64_t naive_find(const std::vector<double>& leaves, double target) {
  double sum = 0.0;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    sum += leaves[i];
    if (target < sum) return static_cast<std::int64_t>(i);
  }
  return last_positive(leaves);
}

std::vector<double> integer_leaves(Random& random, std::int64_t capacity) {
  std::vector<double> leaves;
  for (std::int64_t i = 0; i < capacity; ++i) leaves.push_back(static_cast<double>(std::max<std::int64_t>(below(random, 7) - 3, 0)));
  leaves[static_cast<std::size_t>(below(random, capacity))] = 1.0;
  return leaves;
}

}  // namespace

TEST_CASE("find is the naive cumulative sum, at every boundary between leaves") {
  Random random(1);
  for (const std::int64_t capacity : kCapacities) {
    const auto leaves = integer_leaves(random, capacity);
    const SumTree tree = tree_of(leaves);
    std::int64_t num_wrong = 0;
    const double step = capacity > 256 ? 1.0 : 0.5;
    for (double target = 0.0; target < tree.total() + 2.0; target += step) {
      num_wrong += find(tree, target) != naive_find(leaves, target);
      num_wrong += find(tree, std::nextafter(target + 1.0, 0.0)) != naive_find(leaves, std::nextafter(target + 1.0, 0.0));
    }
    CAPTURE(capacity);
    CHECK(num_wrong == 0);
    CHECK(tree.why_invalid() == "");
  }
}

TEST_CASE("find lands within a rounding error of the cumulative sum, and never on a zero leaf") {
  Random random(2);
  std::uniform_real_distribution<double> magnitude(-8.0, 8.0), unit(0.0, 1.0);
  for (const std::int64_t capacity : kCapacities) {
    std::vector<double> leaves;
    for (std::int64_t i = 0; i < capacity; ++i) leaves.push_back(below(random, 3) == 0 ? 0.0 : std::pow(10.0, magnitude(random)));
    leaves.back() += 1.0;
    const SumTree tree = tree_of(leaves);
    std::vector<long double> ends;
    long double sum = 0.0L;
    for (const double leaf : leaves) ends.push_back(sum += leaf);
    const long double slack = 64 * 0x1p-53L * sum;
    std::int64_t num_wrong = 0;
    for (int i = 0; i < 2000; ++i) {
      const double target = unit(random) * tree.total();
      const auto found = static_cast<std::size_t>(find(tree, target));
      num_wrong += !(leaves.at(found) > 0.0) || target > ends[found] + slack || target < ends[found] - leaves[found] - slack;
    }
    CAPTURE(capacity);
    CHECK(num_wrong == 0);
  }
}

TEST_CASE("a target at or beyond the total finds the last positive leaf") {
  Random random(3);
  for (const std::int64_t capacity : kCapacities) {
    const auto leaves = integer_leaves(random, capacity);
    const SumTree tree = tree_of(leaves);
    for (const double target :
         {tree.total(), std::nextafter(tree.total(), 1e300), 2.0 * tree.total(), 1e300, std::numeric_limits<double>::infinity()}) {
      CHECK(find(tree, target) == last_positive(leaves));
    }
  }
}

TEST_CASE("a last positive leaf so small that rounding absorbed it is found at the total") {
  for (const std::int64_t capacity : {2, 16, 17, 300, 4097}) {
    for (const std::int64_t distance : {1, 15, 16, 17, 256, 299}) {
      if (distance >= capacity) continue;
      SumTree tree(capacity);
      set(tree, capacity - 1 - distance, 1e16);
      set(tree, capacity - 1, 1e-16);
      REQUIRE(tree.total() == 1e16);
      CHECK(find(tree, tree.total()) == capacity - 1);
      CHECK(find(tree, std::nextafter(tree.total(), 0.0)) == capacity - 1 - distance);
    }
  }
}

TEST_CASE("a single positive leaf is found wherever it is, by every target") {
  for (const std::int64_t capacity : kCapacities) {
    SumTree tree(capacity);
    for (std::int64_t i = 0; i < capacity; i += capacity > 1000 ? 97 : 1) {
      set(tree, i, 0.1);
      REQUIRE(find(tree, 0.0) == i);
      REQUIRE(find(tree, 0.05) == i);
      REQUIRE(find(tree, 0.1) == i);
      set(tree, i, 0.0);
    }
    CHECK(tree.total() == 0.0);
  }
}

TEST_CASE("every positive leaf can be found beside one 10^8 times as large") {
  for (const std::int64_t outlier : {0, 1, 500, 998, 999}) {
    std::vector<double> leaves(1000, 1.0);
    leaves[static_cast<std::size_t>(outlier)] = 1e8;
    const SumTree tree = tree_of(leaves);
    double before = 0.0;
    for (std::int64_t i = 0; i < 1000; ++i) {
      const double leaf = leaves[static_cast<std::size_t>(i)];
      REQUIRE(find(tree, before) == i);
      REQUIRE(find(tree, before + 0.5 * leaf) == i);
      before += leaf;
    }
  }
}

TEST_CASE("10^5 random updates leave the tree that is built from its leaves at once") {
  Random random(4);
  std::uniform_real_distribution<double> value(0.0, 1.0);
  for (const std::int64_t capacity : {1, 17, 1000, 4097}) {
    SumTree tree(capacity);
    std::vector<double> leaves(static_cast<std::size_t>(capacity), 0.0);
    std::vector<std::int64_t> indices;
    std::vector<double> values;
    for (int num_updates = 0; num_updates < 100000; num_updates += static_cast<int>(indices.size())) {
      indices.clear();
      values.clear();
      for (std::int64_t i = 0; i <= below(random, 64); ++i) {
        indices.push_back(below(random, capacity));
        values.push_back(below(random, 4) == 0 ? 0.0 : std::pow(value(random), 9.0));
        leaves[static_cast<std::size_t>(indices.back())] = values.back();
      }
      tree.update(indices, values);
    }
    CHECK(tree.why_invalid() == "");
    const SumTree afresh = tree_of(leaves);
    CHECK(tree.total() == afresh.total());
    CHECK(tree.min_positive() == afresh.min_positive());
    std::int64_t num_wrong = 0;
    for (int i = 0; i < 5000; ++i) {
      const double target = value(random) * tree.total();
      num_wrong += find(tree, target) != find(afresh, target);
    }
    CHECK(num_wrong == 0);
  }
}

TEST_CASE("one update of many leaves is many updates of one, in any order") {
  Random random(5);
  auto indices = all_indices(1000);
  std::vector<double> values;
  for (std::size_t i = 0; i < indices.size(); ++i) values.push_back(1.0 / static_cast<double>(i + 3));
  SumTree at_once(1000), one_by_one(1000);
  at_once.update(indices, values);
  std::shuffle(indices.begin(), indices.end(), random);
  for (const std::int64_t i : indices) set(one_by_one, i, values[static_cast<std::size_t>(i)]);
  CHECK(at_once.total() == one_by_one.total());
}

TEST_CASE("updates of every size leave the nodes that their leaves make") {
  Random random(8);
  for (std::int64_t size = 1; size <= 70; ++size) {
    SumTree tree(5000);
    std::vector<std::int64_t> indices;
    std::vector<double> values;
    for (std::int64_t i = 0; i < size; ++i) {
      indices.push_back(below(random, i % 2 == 0 ? 5000 : 20));  // duplicates and neighbours too
      values.push_back(static_cast<double>(below(random, 1000)) * 0.1);
    }
    tree.update(indices, values);
    CHECK(tree.why_invalid() == "");
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const auto last = std::find(indices.rbegin(), indices.rend(), indices[i]);
      CHECK(tree[indices[i]] == values[static_cast<std::size_t>(indices.rend() - last) - 1]);
    }
  }
}

TEST_CASE("of duplicates in one update the last wins") {
  SumTree tree(40);
  const std::int64_t indices[] = {3, 20, 3, 20, 3};
  const double values[] = {1.0, 2.0, 3.0, 4.0, 5.0};
  tree.update(indices, values);
  CHECK(tree[3] == 5.0);
  CHECK(tree[20] == 4.0);
  CHECK(tree.total() == 9.0);
  CHECK(tree.why_invalid() == "");
}

TEST_CASE("an error changes nothing") {
  SumTree tree = tree_of({1.0, 2.0, 3.0});
  const std::int64_t indices[] = {0, 1}, too_large[] = {0, 3}, negative[] = {0, -1};
  const double fine[] = {7.0, 7.0}, below_zero[] = {7.0, -1e-300}, huge[] = {7.0, 0x1.1p900};
  const double not_a_number[] = {7.0, std::numeric_limits<double>::quiet_NaN()};
  const double infinite[] = {7.0, std::numeric_limits<double>::infinity()};
  CHECK_THROWS_AS(tree.update(too_large, fine), std::out_of_range);
  CHECK_THROWS_AS(tree.update(negative, fine), std::out_of_range);
  for (const auto& values : {below_zero, huge, not_a_number, infinite}) {
    CHECK_THROWS_WITH_AS(tree.update(indices, {values, 2}), doctest::Contains("values[1]"), std::invalid_argument);
  }
  CHECK_THROWS_AS(tree.update(indices, {fine, 1}), std::invalid_argument);
  CHECK(tree.total() == 6.0);
  CHECK(tree[0] == 1.0);
  CHECK(tree.why_invalid() == "");
  CHECK_THROWS_AS(find(tree, -0.5), std::invalid_argument);
  CHECK_THROWS_AS(find(tree, std::numeric_limits<double>::quiet_NaN()), std::invalid_argument);
  CHECK_THROWS_AS(SumTree(0), std::invalid_argument);
  CHECK_THROWS_AS(SumTree(-1), std::invalid_argument);
}

TEST_CASE("a tree of total zero refuses to find and to sample, and its generator stays where it is") {
  SumTree tree(20);
  Philox random({1, 1});
  std::int64_t out = 0;
  CHECK_THROWS_AS(find(tree, 0.0), std::invalid_argument);
  CHECK_THROWS_AS(tree.sample(random, false, {&out, 1}), std::invalid_argument);
  CHECK_THROWS_AS(tree_of({1.0}).sample(random, false, {}), std::invalid_argument);
  CHECK(random.counter() == 0);
}

TEST_CASE("negative zero is zero, and the smallest and largest leaves work") {
  SumTree tree(3);
  set(tree, 0, -0.0);
  CHECK(!std::signbit(tree[0]));
  set(tree, 1, SumTree::kMinValue);
  CHECK(find(tree, 0.0) == 1);
  CHECK(find(tree, 1.0) == 1);
  SumTree large = tree_of(std::vector<double>(300, SumTree::kMaxValue));
  CHECK(std::isfinite(large.total()));
  CHECK(find(large, 0.0) == 0);
  CHECK(find(large, large.total()) == 299);
}

TEST_CASE("min_positive is the smallest positive leaf, and infinity without one") {
  SumTree tree = tree_of({0.0, 3.0, 0.5, 0.0, 2.0});
  CHECK(tree.min_positive() == 0.5);
  set(tree, 2, 0.0);
  CHECK(tree.min_positive() == 2.0);
  tree.clear();
  CHECK(tree.min_positive() == std::numeric_limits<double>::infinity());
  CHECK(tree.total() == 0.0);
  CHECK(tree.why_invalid() == "");
  set(tree, 4, 1.0);
  CHECK(find(tree, 0.0) == 4);
}

TEST_CASE("plain sampling takes a word a draw and hits leaves in proportion to their values") {
  const std::vector<double> leaves = {1.0, 0.0, 2.0, 3.0, 0.0, 4.0};
  const SumTree tree = tree_of(leaves);
  Philox random({5, 6});
  std::vector<std::int64_t> out(100000);
  tree.sample(random, false, out);
  CHECK(random.counter() == 25000);
  std::vector<double> counts(leaves.size(), 0.0);
  for (const std::int64_t i : out) ++counts.at(static_cast<std::size_t>(i));
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const double expected = 1e4 * leaves[i];
    CHECK(std::fabs(counts[i] - expected) <= 5.0 * std::sqrt(expected));
  }
}

TEST_CASE("a batch finds what its targets find one by one, whatever its size") {
  Random random(7);
  std::uniform_real_distribution<double> unit(0.0, 1.1);
  for (const std::int64_t capacity : {1, 16, 17, 300, 5000, 70000}) {
    std::vector<double> leaves;
    for (std::int64_t i = 0; i < capacity; ++i) leaves.push_back(below(random, 3) == 0 ? 0.0 : unit(random));
    leaves.front() = 1.0;
    const SumTree tree = tree_of(leaves);
    for (const std::size_t size : {0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 100}) {
      std::vector<double> targets(size);
      for (double& target : targets) target = unit(random) * tree.total();
      std::vector<std::int64_t> found(size);
      tree.find(targets, found);
      for (std::size_t i = 0; i < size; ++i) REQUIRE(found[i] == find(tree, targets[i]));
    }
  }
}

TEST_CASE("where rounding leaves a target past a subtree, a positive leaf is found near its end") {
  const double tiny = 0x1p-54;  // 1 + tiny is 1, and 8 of them are not lost
  for (const std::int64_t capacity : {33, 300, 5000}) {
    std::vector<double> leaves(static_cast<std::size_t>(capacity), 0.0);
    for (std::size_t i = 0; i < leaves.size(); ++i) leaves[i] = i % 16 == 1 ? 1.0 : i % 5 == 0 || i % 16 > 12 ? 0.0 : tiny;
    const SumTree tree = tree_of(leaves);
    long double before = 0.0L;
    for (std::int64_t i = 0; i < capacity; ++i) {
      for (double target : {static_cast<double>(before), std::nextafter(static_cast<double>(before), 0.0),
                            std::nextafter(static_cast<double>(before), 1e300)}) {
        const std::int64_t found = find(tree, target);
        REQUIRE(leaves[static_cast<std::size_t>(found)] > 0.0);
        REQUIRE(std::abs(found - i) <= 48);
      }
      before += leaves[static_cast<std::size_t>(i)];
    }
  }
}

TEST_CASE("draws are the naive search for the generator's numbers, stratified and not") {
  Random source(6);
  const auto leaves = integer_leaves(source, 257);
  const SumTree tree = tree_of(leaves);
  for (const bool stratified : {false, true}) {
    for (const std::size_t size : {1, 7, 16, 17, 32, 33, 64, 128}) {
      Philox random({9, 9}), twin({9, 9});
      std::vector<std::int64_t> out(size);
      std::vector<std::uint64_t> words(size);
      tree.sample(random, stratified, out);
      twin.fill(words);
      CHECK(random.counter() == twin.counter());
      for (std::size_t i = 0; i < out.size(); ++i) {
        const double unit = mujigae::unit_interval(words[i]);
        const double place = stratified ? (static_cast<double>(i) + unit) / static_cast<double>(size) : unit;
        CHECK(out[i] == naive_find(leaves, place * tree.total()));
      }
    }
  }
}

TEST_CASE("stratified sampling takes exactly one draw from each slice") {
  const SumTree tree = tree_of(std::vector<double>(256, 0.25));
  Philox random({2, 3});
  std::vector<std::int64_t> out(64);
  for (int round = 0; round < 100; ++round) {
    tree.sample(random, true, out);
    for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out[i] / 4 == static_cast<std::int64_t>(i));
  }
}

TEST_CASE("a capacity out of range is refused") {
  for (const std::int64_t capacity : {std::int64_t{-1}, std::int64_t{0}, SumTree::kMaxCapacity + 1}) {
    CHECK_THROWS_WITH_AS(SumTree{capacity}, doctest::Contains("capacity"), std::invalid_argument);
  }
}
