#include "mujigae/sampling/proportional.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>
#include <vector>

#include "sampled_rows.hpp"

using namespace mujigae;

namespace {

const std::vector<double> kPriorities = {0.0, 1.0, 2.0, 0.5, 4.0, 1.0};
constexpr double kLimitOf5Degrees = 20.6;  // the 0.999 quantile of chi-square

Proportional::Settings plain(double uniform_share, bool replacement, bool stratified = false) {
  return {1.0, 0.4, 0.0, stratified, uniform_share, replacement};
}

std::vector<double> shares_of(const std::vector<double>& priorities, double uniform_share) {
  double total = 0.0;
  for (const double p : priorities) total += p;
  std::vector<double> shares;
  for (const double p : priorities)
    shares.push_back((1.0 - uniform_share) * p / total + uniform_share / static_cast<double>(priorities.size()));
  return shares;
}

}  // namespace

TEST_CASE("a uniform share is added to what the priorities give, and is the mass of a row") {
  const RowRing rows = rows_of({6}, 6);
  for (const double share : {0.25, 1.0}) {
    for (const bool stratified : {false, true}) {
      Proportional sampler = proportional_of(rows, kPriorities, plain(share, true, stratified));
      const std::vector<double> expected = shares_of(kPriorities, share);
      CHECK(chi_square(count_draws(sampler, rows, 1, 60000), expected) < kLimitOf5Degrees);
      std::vector<double> masses(6);
      CHECK(sampler.masses_of(rows, windows(1), std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}, masses) == 1.0);
      for (std::size_t i = 0; i < 6; ++i) CHECK(masses[i] == doctest::Approx(expected[i]).epsilon(1e-14));
    }
  }
}

TEST_CASE("without a uniform share the random numbers are those of the tree alone") {
  const RowRing rows = rows_of({6}, 6);
  Proportional sampler = proportional_of(rows, kPriorities, plain(0.0, true, true));
  SumTree tree(rows.num_slots());
  tree.update(std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}, kPriorities);
  Philox random({5, 6}), same({5, 6});
  std::vector<std::int64_t> slots(37), expected(37);
  sampler.draw(rows, windows(1), random, slots);
  tree.sample(same, true, expected);
  CHECK(slots == expected);
  CHECK(random.counter() == same.counter());
}

TEST_CASE("with a uniform share rows are drawn though every leaf is zero, all alike") {
  const RowRing rows = rows_of({6}, 6);
  for (const bool replacement : {false, true}) {
    Proportional sampler = proportional_of(rows, std::vector<double>(6, 0.0), plain(0.5, replacement));
    CHECK_NOTHROW(sampler.check_can_draw(rows, windows(1), 6));
    std::map<std::int64_t, double> counts;
    Philox random({7, 7});
    for (int round = 0; round < 6000; ++round) {
      std::vector<std::int64_t> slots(2);
      sampler.draw(rows, windows(1), random, slots);
      ++counts[slots[0]];
    }
    CHECK(chi_square(counts, std::vector<double>(6, 1.0 / 6.0)) < kLimitOf5Degrees);
    std::vector<double> masses(1);
    sampler.masses_of(rows, windows(1), std::vector<std::int64_t>{3}, masses);
    CHECK(masses[0] == doctest::Approx(1.0 / 6.0));
  }
}

TEST_CASE("rows drawn without replacement are distinct, and each is drawn in proportion from what the others left") {
  const RowRing rows = rows_of({6}, 6);
  for (const double share : {0.0, 0.3}) {
    Proportional sampler = proportional_of(rows, kPriorities, plain(share, false));
    Philox random({1, 9});
    std::map<std::int64_t, double> first, second;
    for (int round = 0; round < 40000; ++round) {
      std::vector<std::int64_t> slots(4);
      sampler.draw(rows, windows(1), random, slots);
      REQUIRE(std::set(slots.begin(), slots.end()).size() == 4);
      ++first[slots[0]];
      if (slots[0] == 4) ++second[slots[1]];
    }
    CHECK(chi_square(first, shares_of(kPriorities, share)) < kLimitOf5Degrees);
    std::vector<double> left = shares_of({0.0, 1.0, 2.0, 0.5, 1.0}, share);
    left.insert(left.begin() + 4, 0.0);
    CHECK(chi_square(second, left) < kLimitOf5Degrees);
  }
}

TEST_CASE("after a draw without replacement every leaf and every sum is as it was, bit for bit") {
  std::vector<double> priorities;
  for (int i = 0; i < 700; ++i) priorities.push_back(std::pow(1.1, i % 97 - 50));
  const RowRing rows = rows_of({700}, 700);
  for (const double share : {0.0, 0.5}) {
    Proportional sampler = proportional_of(rows, priorities, plain(share, false));
    std::vector<std::int64_t> all;
    for (std::int64_t slot = 0; slot < 700; ++slot) all.push_back(slot);
    std::vector<double> before(700), after(700);
    const double total = sampler.masses_of(rows, windows(1), all, before);
    Philox random({2, 2});
    for (const std::size_t batch_size : {1, 33, 700}) {
      std::vector<std::int64_t> slots(batch_size);
      sampler.draw(rows, windows(1), random, slots);
      CHECK(sampler.masses_of(rows, windows(1), all, after) == total);
      CHECK(after == before);
      CHECK(sampler.why_invalid(rows, windows(1)) == "");
    }
  }
}

TEST_CASE("more distinct rows than have a positive leaf are refused, than there are rows with a uniform share") {
  const RowRing rows = rows_of({6}, 6);
  const Proportional by_priority = proportional_of(rows, kPriorities, plain(0.0, false));
  CHECK_NOTHROW(by_priority.check_can_draw(rows, windows(1), 5));
  CHECK_THROWS_WITH_AS(by_priority.check_can_draw(rows, windows(1), 6), doctest::Contains("batch_size: expected at most 5, "),
                       std::invalid_argument);
  const Proportional mixed = proportional_of(rows, kPriorities, plain(0.1, false));
  CHECK_NOTHROW(mixed.check_can_draw(rows, windows(1), 6));
  CHECK_THROWS_WITH_AS(mixed.check_can_draw(rows, windows(1), 7), doctest::Contains("batch_size: expected at most 6, "),
                       std::invalid_argument);
}

TEST_CASE("a uniform share outside 0 to 1 is refused") {
  for (const double bad : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_THROWS_WITH_AS(Proportional(plain(bad, true), 4), doctest::Contains("uniform_share: expected 0 to 1"), std::invalid_argument);
  }
}
