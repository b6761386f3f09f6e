#include "mujigae/sampling/rank_based.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "sampled_rows.hpp"

using namespace mujigae;

namespace {

const std::vector<double> kPriorities = {0.0, 1.0, 2.0, 0.5, 1e9, 1.0};
const std::vector<std::int64_t> kSlots = {0, 1, 2, 3, 4, 5};
const std::vector<double> kRanks = {6.0, 3.0, 2.0, 5.0, 1.0, 4.0};

}  // namespace

TEST_CASE("draws follow rank^-alpha, whatever the priorities' sizes") {
  const RowRing rows = rows_of({6}, 6);
  for (const double alpha : {0.0, 0.7, 2.0}) {
    RankBased sampler({alpha, 0.5}, rows.num_slots());
    enter_all(sampler, kPriorities);
    std::vector<double> shares, masses(6);
    for (const double rank : kRanks) shares.push_back(std::pow(rank, -alpha));
    double total = 0.0;
    for (const double share : shares) total += share;
    CHECK(sampler.masses_of(rows, windows(1), kSlots, masses) == doctest::Approx(total).epsilon(1e-15));
    for (std::size_t i = 0; i < 6; ++i) CHECK(masses[i] == doctest::Approx(shares[i]).epsilon(1e-15));
    for (double& share : shares) share /= total;
    Philox random({1, 2});
    std::map<std::int64_t, double> counts;
    for (int round = 0; round < 20000; ++round) {
      std::vector<std::int64_t> slots(3);
      sampler.draw(rows, windows(1), random, slots);
      for (const std::int64_t slot : slots) ++counts[slot];
    }
    CHECK(chi_square(counts, shares) < 20.6);  // slices make it smaller than independent draws would
  }
}

TEST_CASE("row i of a batch comes from slice i: as often as its share says, up to one at either end of a slice") {
  std::vector<double> priorities;
  for (int i = 0; i < 1000; ++i) priorities.push_back(std::fmod(i * 0.618, 1.0));
  const RowRing rows = rows_of({1000}, 1000);
  RankBased sampler({0.7, 0.5}, rows.num_slots());
  enter_all(sampler, priorities);
  Philox random({3, 3});
  std::vector<std::int64_t> slots(4000);
  sampler.draw(rows, windows(1), random, slots);
  std::vector<double> masses(4000), ranks;
  const double total = sampler.masses_of(rows, windows(1), slots, masses);
  CHECK(std::is_sorted(masses.rbegin(), masses.rend()));
  for (std::size_t begin = 0; begin < masses.size();) {
    const auto count = static_cast<double>(std::count(masses.begin(), masses.end(), masses[begin]));
    CHECK(std::fabs(count - 4000.0 * masses[begin] / total) < 2.0);
    begin += static_cast<std::size_t>(count);
  }
}

TEST_CASE("a new alpha changes the draws and leaves the ranks") {
  const RowRing rows = rows_of({6}, 6);
  RankBased sampler({0.7, 0.5}, rows.num_slots());
  enter_all(sampler, kPriorities);
  std::vector<double> masses(6);
  sampler.masses_of(rows, windows(1), kSlots, masses);
  sampler.set_alpha(1.0);
  sampler.masses_of(rows, windows(1), kSlots, masses);
  for (std::size_t i = 0; i < 6; ++i) CHECK(masses[i] == doctest::Approx(1.0 / kRanks[i]).epsilon(1e-15));
}

TEST_CASE("sums go on where they ended when rows come, and a row that left is not drawn") {
  const RowRing rows = rows_of({6}, 6);
  RankBased grown({0.7, 0.5}, rows.num_slots()), at_once({0.7, 0.5}, rows.num_slots());
  std::vector<double> masses(1);
  enter_all(grown, {0.0, 1.0, 2.0});
  grown.masses_of(rows, windows(1), std::vector<std::int64_t>{0}, masses);
  enter_all(grown, kPriorities);
  enter_all(at_once, kPriorities);
  CHECK(grown.masses_of(rows, windows(1), std::vector<std::int64_t>{0}, masses) ==
        at_once.masses_of(rows, windows(1), std::vector<std::int64_t>{0}, masses));
  CHECK(grown.why_invalid(rows, windows(1)) == "");
  CHECK(grown.why_invalid(rows, windows(2)) != "");  // the newest row should have no rank
  grown.leave(5);
  grown.commit();
  CHECK(grown.why_invalid(rows, windows(2)) == "");
  CHECK(count_draws(grown, rows, 2, 1000).count(5) == 0);
}

TEST_CASE("a priority that was set and not entered is found by the check") {
  const RowRing rows = rows_of({6}, 6);
  RankBased sampler({}, rows.num_slots());
  enter_all(sampler, kPriorities);
  sampler.set_priority(3, 5.0);
  CHECK(sampler.why_invalid(rows, windows(1)) == "slot 3 is ranked by another priority");
}

TEST_CASE("an alpha that leaves the first rank alone draws it, and every mass stays positive") {
  const RowRing rows = rows_of({6}, 6);
  RankBased sampler({1000.0, 1.0}, rows.num_slots());
  enter_all(sampler, kPriorities);
  CHECK(count_draws(sampler, rows, 1, 100).at(4) == 100.0);
  std::vector<double> masses(6);
  CHECK(sampler.masses_of(rows, windows(1), kSlots, masses) == 1.0);
  for (const double mass : masses) CHECK(mass >= 0x1p-900);
}

TEST_CASE("what cannot be is refused, and a cleared sampler begins anew") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {-1.0, nan}) {
    CHECK_THROWS_AS(RankBased({bad, 0.5}, 4), std::invalid_argument);
    CHECK_THROWS_AS(RankBased({0.7, bad}, 4), std::invalid_argument);
  }
  const RowRing rows = rows_of({0}, 6);
  RankBased sampler({}, rows.num_slots());
  CHECK_THROWS_AS(sampler.check_can_draw(rows, windows(1), 1), std::invalid_argument);
  CHECK_THROWS_AS(sampler.set_alpha(nan), std::invalid_argument);
  enter_all(sampler, kPriorities);
  sampler.clear();
  CHECK(sampler.max_priority() == 1.0);
  CHECK(sampler.why_invalid(rows, windows(1)) == "");
}
