#include "mujigae/sampling/proportional.hpp"
#include "mujigae/sampling/uniform.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <vector>

#include "sampled_rows.hpp"

using namespace mujigae;

TEST_CASE("uniform draws hit every row that can be drawn alike, over lanes of different lengths, and no other") {
  const RowRing rows = rows_of({5, 0, 1, 8, 2}, 10);
  Uniform uniform({});
  const std::int64_t n_step = 2;  // the newest row of each lane waits
  const auto counts = count_draws(uniform, rows, n_step, 60000);
  std::set<std::int64_t> expected;
  for (std::int64_t e = 0; e < 5; ++e) {
    for (std::int64_t row = 0; row < rows.lane(e).num_held() - 1; ++row) expected.insert(rows.lane(e).slot(row));
  }
  REQUIRE(expected.size() == 12);
  REQUIRE(counts.size() == 12);
  for (const auto& [slot, count] : counts) {
    CHECK(expected.count(slot) == 1);
    CHECK(std::fabs(count - 5000.0) < 5.0 * std::sqrt(5000.0));
  }
}

TEST_CASE("uniform draws without replacement are distinct rows, all of them in a batch of as many") {
  const RowRing rows = rows_of({5, 0, 1, 8, 2}, 10);
  Uniform uniform({.replacement = false});
  Philox random({3, 4});
  std::map<std::int64_t, double> last_ones;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::int64_t> slots(round % 12 + 1);
    uniform.draw(rows, windows(2), random, slots);
    ++last_ones[slots.back()];
    CHECK(std::set(slots.begin(), slots.end()).size() == slots.size());
  }
  CHECK(last_ones.size() == 12);  // rows that can be drawn with windows of 2
  for (const auto& [slot, count] : last_ones) CHECK(std::fabs(count - 250.0) < 5.0 * std::sqrt(250.0));
}

TEST_CASE("more distinct rows than can be drawn are refused") {
  const RowRing rows = rows_of({3, 2}, 3);
  const Uniform uniform({.replacement = false});
  CHECK_NOTHROW(uniform.check_can_draw(rows, windows(1), 5));
  CHECK_THROWS_WITH_AS(uniform.check_can_draw(rows, windows(2), 5), doctest::Contains("batch_size: expected at most 3, "),
                       std::invalid_argument);
}

TEST_CASE("uniform weights are 1") {
  const RowRing rows = rows_of({3}, 3);
  Uniform uniform({});
  Philox random({0, 0});
  std::vector<std::int64_t> slots(5);
  std::vector<float> weights(5, -1.0F);
  draw(uniform, rows, 1, 0.4, random, slots, weights);
  for (const float weight : weights) CHECK(weight == 1.0F);
}

TEST_CASE("prioritized draws follow (p + eps)^alpha, stratified and not") {
  const std::vector<double> priorities = {0.0, 1.0, 2.0, 0.5, 4.0, 1.0};
  const RowRing rows = rows_of({6}, 6);
  for (const bool stratified : {false, true}) {
    Proportional sampler = proportional_of(rows, priorities, {0.7, 0.4, 0.01, stratified});
    double total = 0.0;
    for (const double p : priorities) total += std::pow(p + 0.01, 0.7);
    auto counts = count_draws(sampler, rows, 1, 50000);
    for (std::size_t slot = 0; slot < priorities.size(); ++slot) {
      const double expected = 50000.0 * std::pow(priorities[slot] + 0.01, 0.7) / total;
      CHECK(std::fabs(counts[static_cast<std::int64_t>(slot)] - expected) < 5.0 * std::sqrt(expected) + 1.0);
    }
  }
}

TEST_CASE("weights are (N P(i))^-beta over the largest in the batch") {
  const std::vector<double> priorities = {3.0, 1.0, 2.0, 0.5, 4.0, 1.0};
  const RowRing rows = rows_of({6}, 6);
  Proportional sampler = proportional_of(rows, priorities, {0.6, 0.4, 1e-6, true});
  double total = 0.0;
  for (const double p : priorities) total += sampler.leaf(p);
  for (const double beta : {0.0, 0.4, 1.0}) {
    Philox random({4, 4});
    std::vector<std::int64_t> slots(5);
    std::vector<float> weights(5);
    draw(sampler, rows, 1, beta, random, slots, weights);
    std::vector<double> raw;
    for (const std::int64_t slot : slots) {
      raw.push_back(std::pow(6.0 * sampler.leaf(priorities[static_cast<std::size_t>(slot)]) / total, -beta));
    }
    const double largest = *std::max_element(raw.begin(), raw.end());
    for (std::size_t i = 0; i < raw.size(); ++i) CHECK(weights[i] == doctest::Approx(raw[i] / largest).epsilon(1e-6));
    CHECK(*std::max_element(weights.begin(), weights.end()) == 1.0F);
  }
}

TEST_CASE("a new row gets the largest priority ever given, 1 at first and after clear") {
  const RowRing rows = rows_of({3}, 3);
  Proportional sampler({}, rows.num_slots());
  sampler.write(0, std::nullopt);
  CHECK(sampler.priority(0) == 1.0);
  sampler.set_priority(0, 0.25);
  sampler.write(1, std::nullopt);
  CHECK(sampler.priority(1) == 1.0);
  sampler.set_priority(0, 7.0);
  sampler.set_priority(0, 2.0);
  sampler.write(2, std::nullopt);
  CHECK(sampler.priority(2) == 7.0);
  sampler.clear();
  CHECK(sampler.max_priority() == 1.0);
}

TEST_CASE("a first priority of its own is the row's, and counts for the largest") {
  Proportional sampler({}, 3);
  sampler.write(0, 0.25);
  CHECK(sampler.priority(0) == 0.25);
  sampler.write(1, 3.0);
  sampler.write(2, std::nullopt);
  CHECK(sampler.priority(2) == 3.0);
}

TEST_CASE("masses over their total are the probabilities, of uniform rows too") {
  const RowRing rows = rows_of({3}, 3);
  Proportional proportional = proportional_of(rows, {1.0, 3.0, 4.0}, {1.0, 0.4, 0.0, true});
  Uniform uniform({});
  const std::vector<std::int64_t> slots = {0, 1, 2};
  std::vector<double> masses(3);
  CHECK(proportional.masses_of(rows, windows(1), slots, masses) == 8.0);
  CHECK(masses == std::vector{1.0, 3.0, 4.0});
  CHECK(uniform.masses_of(rows, windows(2), slots, masses) == 2.0);  // the newest row waits
  CHECK(masses == std::vector{1.0, 1.0, 1.0});
}

TEST_CASE("a row that left is not drawn, and the leaves are checked against the rows") {
  const RowRing rows = rows_of({3}, 3);
  Proportional sampler = proportional_of(rows, {1.0, 1.0, 1.0}, {});
  CHECK(sampler.why_invalid(rows, windows(1)) == "");
  CHECK(sampler.why_invalid(rows, windows(2)) != "");  // the newest row should have no leaf
  sampler.leave(2);
  sampler.commit();
  CHECK(sampler.why_invalid(rows, windows(2)) == "");
  CHECK(count_draws(sampler, rows, 2, 100).count(2) == 0);
}

TEST_CASE("within one commit the last of leave and enter wins") {
  const RowRing rows = rows_of({2}, 2);
  Proportional sampler = proportional_of(rows, {1.0, 1.0}, {});
  sampler.leave(0);
  sampler.enter(0);
  sampler.enter(1);
  sampler.leave(1);
  sampler.commit();
  CHECK(count_draws(sampler, rows, 1, 100).at(0) == 100.0);
}

TEST_CASE("priorities and exponents out of range are refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  Proportional sampler({}, 4);
  for (const double bad : {-1.0, nan, infinity}) {
    const double priorities[] = {1.0, bad};
    CHECK_THROWS_WITH_AS(sampler.check_priorities("priorities", priorities), doctest::Contains("priorities[1]"), std::invalid_argument);
    CHECK_THROWS_AS(sampler.set_alpha(bad), std::invalid_argument);
    CHECK_THROWS_AS(sampler.set_beta(bad), std::invalid_argument);
    CHECK_THROWS_AS(Proportional({bad, 0.4, 1e-6, true}, 4), std::invalid_argument);
    CHECK_THROWS_AS(Proportional({0.6, bad, 1e-6, true}, 4), std::invalid_argument);
    CHECK_THROWS_AS(Proportional({0.6, 0.4, bad, true}, 4), std::invalid_argument);
  }
}

TEST_CASE("a leaf too large for the tree is refused before it is given, by priority and by alpha") {
  Proportional sampler({2.0, 0.4, 0.0, true}, 4);
  const double huge = 1e200;
  CHECK_THROWS_AS(sampler.check_priorities("priorities", std::span(&huge, 1)), std::invalid_argument);
  sampler.set_alpha(1.0);
  CHECK_NOTHROW(sampler.check_priorities("priorities", std::span(&huge, 1)));
  sampler.set_priority(0, huge);
  CHECK_THROWS_AS(sampler.set_alpha(2.0), std::invalid_argument);
  CHECK(sampler.alpha() == 1.0);
}

TEST_CASE("a positive priority is a positive leaf, however small its power") {
  const Proportional::Settings steep{4.0, 0.0, 0.0, true};
  CHECK(Proportional(steep, 1).leaf(1e-300) == SumTree::kMinValue);
  CHECK(Proportional(steep, 1).leaf(0.0) == 0.0);
}

TEST_CASE("the priority that is too large is named, not the one before it") {
  const Proportional sampler({2.0, 0.4, 0.0, true}, 4);
  const double priorities[] = {1.0, 1e100, 1e200, 1e250};
  CHECK_NOTHROW(sampler.check_priorities("priorities", std::span(priorities).first(2)));
  CHECK_THROWS_WITH_AS(sampler.check_priorities("priorities", priorities), doctest::Contains("priorities[2]"), std::invalid_argument);
}

TEST_CASE("a state that cannot be is not adopted, and one that can be is") {
  const RowRing rows = rows_of({2}, 2);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& state : std::vector<std::vector<double>>{
           {-1.0, 0.4, 1.0}, {nan, 0.4, 1.0}, {0.6, -0.1, 1.0}, {0.6, 0.4, 0.5}, {0.6, 0.4, nan}, {1000.0, 0.4, 1e10}}) {
    Proportional sampler({}, rows.num_slots());
    CHECK_FALSE(sampler.adopt(state, rows));
  }
  Proportional sampler({}, rows.num_slots());
  sampler.set_priority(0, 7.0);  // newer than the state
  sampler.set_priority(1, 0.5);
  REQUIRE(sampler.adopt(std::vector<double>{0.9, 0.1, 2.0}, rows));
  CHECK(sampler.alpha() == 0.9);
  CHECK(sampler.beta() == 0.1);
  CHECK(sampler.max_priority() == 7.0);
}

TEST_CASE("a priority in a file that would be too large for the tree becomes the largest") {
  const RowRing rows = rows_of({2}, 2);
  Proportional sampler({1.0, 0.4, 0.0, true}, rows.num_slots());
  sampler.set_priority(0, 1e200);
  REQUIRE(sampler.adopt(std::vector<double>{2.0, 0.4, 3.0}, rows));
  CHECK(sampler.priority(0) == 3.0);
  CHECK(sampler.max_priority() == 3.0);
}

TEST_CASE("without a beta for this draw the sampler's own is taken") {
  Proportional sampler({}, 4);
  sampler.set_beta(0.7);
  CHECK(checked_beta(sampler, std::nullopt) == 0.7);
  CHECK(checked_beta(sampler, 0.2) == 0.2);
}
