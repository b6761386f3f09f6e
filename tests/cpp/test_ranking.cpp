#include "mujigae/sampling/ranking.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <utility>
#include <vector>

using namespace mujigae;

namespace {

// The same by sorting everything.
struct NaiveRanking {
  std::map<std::int64_t, double> priorities;

  std::vector<std::int64_t> slots() const {
    std::vector<std::pair<double, std::int64_t>> sorted;
    for (const auto& [slot, priority] : priorities) sorted.emplace_back(-priority, slot);
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::int64_t> out;
    for (const auto& [priority, slot] : sorted) out.push_back(slot);
    return out;
  }
};

void check_equal(Ranking& ranking, const NaiveRanking& naive) {
  ranking.commit();
  REQUIRE(ranking.why_invalid() == "");
  ranking.count();
  REQUIRE(ranking.why_invalid() == "");
  const std::vector<std::int64_t> expected = naive.slots();
  REQUIRE(ranking.size() == static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto rank = static_cast<std::int64_t>(i) + 1;
    REQUIRE(ranking.slot_at(rank) == expected[i]);
    REQUIRE(ranking.rank_of(expected[i]) == rank);
    REQUIRE(ranking.priority_of(expected[i]) == naive.priorities.at(expected[i]));
  }
}

}  // namespace

TEST_CASE("ranks are those of a plain sort, after any changes") {
  for (const std::int64_t num_slots : {1, 3, 300, 1100, 6000}) {
    for (const int num_values : {1, 5, 1 << 30}) {  // few values: many equal priorities
      Ranking ranking(num_slots);
      NaiveRanking naive;
      std::mt19937_64 random(static_cast<std::uint64_t>(num_slots + num_values));
      const auto one_of = [&](std::int64_t count) { return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(count)); };
      for (int round = 0; round < 12; ++round) {
        const std::int64_t num_removals_of_8 = round % 4 < 2 ? 1 : 7;  // fills up, and runs nearly empty again
        for (std::int64_t i = 0; i < num_slots; ++i) {
          const std::int64_t slot = one_of(num_slots);
          if (one_of(8) < num_removals_of_8) {
            ranking.remove(slot);
            naive.priorities.erase(slot);
          } else {
            naive.priorities[slot] = static_cast<double>(one_of(num_values)) * 0.125;
            ranking.set(slot, naive.priorities[slot]);
          }
          if (one_of(100) == 0) ranking.commit();
        }
        check_equal(ranking, naive);
      }
      ranking.clear();
      naive.priorities.clear();
      check_equal(ranking, naive);
      ranking.set(num_slots - 1, 2.0);
      naive.priorities[num_slots - 1] = 2.0;
      check_equal(ranking, naive);
    }
  }
}

TEST_CASE("slots that come in order, in reverse, and go from either end are ranked") {
  constexpr std::int64_t kNumSlots = 5000;
  for (const bool is_rising : {false, true}) {
    for (const bool from_the_front : {false, true}) {
      Ranking ranking(kNumSlots);
      NaiveRanking naive;
      for (std::int64_t slot = 0; slot < kNumSlots; ++slot) {
        naive.priorities[slot] = static_cast<double>(is_rising ? slot : kNumSlots - slot);
        ranking.set(slot, naive.priorities[slot]);
      }
      check_equal(ranking, naive);
      for (std::int64_t i = 0; i < kNumSlots; ++i) {
        const std::int64_t slot = from_the_front ? i : kNumSlots - 1 - i;
        ranking.remove(slot);
        naive.priorities.erase(slot);
        if (i % 999 == 0) check_equal(ranking, naive);
      }
      check_equal(ranking, naive);
    }
  }
}

TEST_CASE("the last of several changes of a slot is the one that is committed") {
  Ranking ranking(3);
  ranking.set(0, 1.0);
  ranking.set(1, 2.0);
  ranking.commit();
  ranking.remove(0);
  ranking.set(0, 5.0);
  ranking.set(1, 9.0);
  ranking.remove(1);
  ranking.set(2, 7.0);
  ranking.set(2, 4.0);
  check_equal(ranking, {{{0, 5.0}, {2, 4.0}}});
}

TEST_CASE("zero of either sign, the smallest and the largest numbers are in order") {
  Ranking ranking(5);
  const double priorities[] = {-0.0, 5e-324, 1.7976931348623157e308, 0.0, 1.0};
  for (std::int64_t slot = 0; slot < 5; ++slot) ranking.set(slot, priorities[slot]);
  check_equal(ranking, {{{0, 0.0}, {1, priorities[1]}, {2, priorities[2]}, {3, 0.0}, {4, 1.0}}});
}
