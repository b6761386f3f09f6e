#include "mujigae/replay/n_step.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

using namespace mujigae;

namespace {

enum class End { kNone, kTerminated, kTruncated, kBoth };
constexpr End kEnds[] = {End::kNone, End::kTerminated, End::kTruncated, End::kBoth};

std::vector<StepOutcome> episode(std::int64_t length, End end) {
  std::vector<StepOutcome> steps;
  for (std::int64_t t = 0; t < length; ++t) steps.push_back({static_cast<double>(t * t) - 1.5, false, false});
  steps.back().terminated = end == End::kTerminated || end == End::kBoth;
  steps.back().ended = end != End::kNone;
  return steps;
}

// The definition, written out: what the window of step t is, given the whole episode.
Window expected_window(const std::vector<StepOutcome>& steps, std::size_t t, std::int64_t n_step, double gamma) {
  const auto num_steps = std::min<std::int64_t>(n_step, static_cast<std::int64_t>(steps.size() - t));
  Window window;
  window.num_steps = num_steps;
  window.reward = 0.0;
  double factor = 1.0;
  for (std::int64_t i = 0; i < num_steps; ++i) {
    window.reward += factor * steps[t + static_cast<std::size_t>(i)].reward;
    factor *= gamma;
  }
  window.terminated = steps[t + static_cast<std::size_t>(num_steps) - 1].terminated;
  window.discount = window.terminated ? 0.0 : factor;
  return window;
}

void check_equal(const Window& a, const Window& b) {
  CHECK(a.reward == b.reward);
  CHECK(a.discount == b.discount);
  CHECK(a.num_steps == b.num_steps);
  CHECK(a.terminated == b.terminated);
}

std::vector<NStepAccumulator::Completed> push(NStepAccumulator& accumulator, double reward, bool terminated, bool truncated,
                                              std::int64_t env = 0) {
  return accumulator.push({&reward, 1}, {&terminated, 1}, {&truncated, 1}, {&env, 1});
}

}  // namespace

TEST_CASE("a window is its definition for every episode length, n and kind of ending") {
  for (std::int64_t length = 1; length <= 6; ++length) {
    for (std::int64_t n_step = 1; n_step <= 5; ++n_step) {
      for (const End end : kEnds) {
        const auto steps = episode(length, end);
        for (std::int64_t t = 0; t < length; ++t) {
          if (end == End::kNone && t + n_step > length) continue;  // not complete
          const auto outcome_of = [&](std::int64_t i) { return steps.at(static_cast<std::size_t>(t + i)); };
          check_equal(n_step_window(n_step, 0.9, outcome_of), expected_window(steps, static_cast<std::size_t>(t), n_step, 0.9));
        }
      }
    }
  }
}

TEST_CASE("numbers worked by hand: three steps of gamma 1/2") {
  const std::vector<StepOutcome> steps = {{1.0, false, false}, {2.0, false, false}, {4.0, true, true}};
  const auto outcome_of = [&](std::int64_t i) { return steps.at(static_cast<std::size_t>(i)); };
  check_equal(n_step_window(2, 0.5, outcome_of), {2.0, 0.25, 2, false});
  check_equal(n_step_window(3, 0.5, outcome_of), {3.0, 0.0, 3, true});
  check_equal(n_step_window(9, 0.5, outcome_of), {3.0, 0.0, 3, true});
}

TEST_CASE("a truncated episode keeps its discount, a terminated one has none, both flags: terminated wins") {
  for (const End end : {End::kTerminated, End::kTruncated, End::kBoth}) {
    NStepAccumulator accumulator(3, 0.5, 1);
    const auto completed = push(accumulator, 1.0, end != End::kTruncated, end != End::kTerminated);
    REQUIRE(completed.size() == 1);
    CHECK(completed[0].window.discount == (end == End::kTruncated ? 0.5 : 0.0));
    CHECK(completed[0].window.terminated == (end != End::kTruncated));
  }
}

TEST_CASE("the streaming form gives every window once, oldest first, for every length, n and ending") {
  for (std::int64_t length = 1; length <= 6; ++length) {
    for (std::int64_t n_step = 1; n_step <= 5; ++n_step) {
      for (const End end : kEnds) {
        const auto steps = episode(length, end);
        NStepAccumulator accumulator(n_step, 0.9, 1);
        std::int64_t next_start = 0;
        for (std::int64_t t = 0; t < length; ++t) {
          const auto& step = steps[static_cast<std::size_t>(t)];
          const bool truncated = step.ended && end != End::kTerminated;
          for (const auto& completed : push(accumulator, step.reward, step.terminated, truncated)) {
            CHECK(completed.env == 0);
            CHECK(t - completed.steps_ago == next_start);
            check_equal(completed.window, expected_window(steps, static_cast<std::size_t>(next_start), n_step, 0.9));
            ++next_start;
          }
          CHECK(accumulator.why_invalid() == "");
        }
        CHECK(next_start == (end == End::kNone ? std::max<std::int64_t>(length - n_step + 1, 0) : length));
      }
    }
  }
}

TEST_CASE("no window crosses into the next episode, and environments do not mix") {
  NStepAccumulator accumulator(3, 1.0, 2);
  CHECK(push(accumulator, 1.0, false, false, 0).empty());
  CHECK(push(accumulator, 100.0, false, false, 1).empty());
  CHECK(push(accumulator, 2.0, false, true, 0).size() == 2);
  CHECK(push(accumulator, 4.0, false, false, 0).empty());
  CHECK(push(accumulator, 200.0, false, false, 1).empty());
  const auto completed = push(accumulator, 400.0, false, false, 1);
  REQUIRE(completed.size() == 1);
  CHECK(completed[0].env == 1);
  CHECK(completed[0].steps_ago == 2);
  CHECK(completed[0].window.reward == 700.0);
}

TEST_CASE("an error changes nothing") {
  NStepAccumulator accumulator(2, 0.5, 2);
  CHECK(push(accumulator, 1.0, false, false, 0).empty());
  const double rewards[] = {3.0, std::numeric_limits<double>::quiet_NaN()};
  const bool flags[] = {false, false};
  const std::int64_t both[] = {0, 1}, twice[] = {0, 0}, unknown[] = {0, 2}, negative[] = {0, -1};
  const double finite[] = {3.0, 3.0};
  CHECK_THROWS_AS(accumulator.push(rewards, flags, flags, both), std::invalid_argument);
  CHECK_THROWS_AS(accumulator.push(finite, flags, flags, twice), std::invalid_argument);
  CHECK_THROWS_AS(accumulator.push(finite, flags, flags, unknown), std::out_of_range);
  CHECK_THROWS_AS(accumulator.push(finite, flags, flags, negative), std::out_of_range);
  const auto completed = push(accumulator, 2.0, false, false, 0);
  REQUIRE(completed.size() == 1);
  CHECK(completed[0].window.reward == 2.0);
}

TEST_CASE("clear forgets the open windows") {
  NStepAccumulator accumulator(2, 0.5, 1);
  push(accumulator, 1.0, false, false);
  accumulator.clear();
  CHECK(push(accumulator, 2.0, false, false).empty());
}

TEST_CASE("settings out of range are refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(NStepAccumulator(0, 0.9, 1), std::invalid_argument);
  CHECK_THROWS_AS(NStepAccumulator(1, -0.1, 1), std::invalid_argument);
  CHECK_THROWS_AS(NStepAccumulator(1, 1.1, 1), std::invalid_argument);
  CHECK_THROWS_AS(NStepAccumulator(1, nan, 1), std::invalid_argument);
  CHECK_THROWS_AS(NStepAccumulator(1, 0.9, 0), std::invalid_argument);
}

TEST_CASE("a number of environments out of range is refused by name") {
  for (const std::int64_t num_envs : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{1} << 40}) {
    CHECK_THROWS_WITH_AS(NStepAccumulator(1, 0.9, num_envs), doctest::Contains("num_envs"), std::invalid_argument);
  }
}
