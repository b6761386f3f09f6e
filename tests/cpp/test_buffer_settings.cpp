#include "mujigae/replay/buffer_settings.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <stdexcept>

#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"

using namespace mujigae;

TEST_CASE_TEMPLATE("settings out of range are refused by name", S, Uniform, Proportional) {
  const auto construct = [](std::int64_t capacity, std::int64_t num_envs, std::int64_t n_step, ObsLayout obs) {
    BufferOf<S>(settings_of(capacity, num_envs, n_step, {obs}), {});
  };
  CHECK_THROWS_WITH_AS(construct(0, 1, 1, {1, 1}), doctest::Contains("capacity"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(construct(2, 3, 1, {1, 1}), doctest::Contains("capacity"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(construct((std::int64_t{1} << 31) + 1, 1, 1, {1, 1}), doctest::Contains("2^31 rows"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(construct(std::int64_t{1} << 31, 1 << 24, 1, {1, 1}), doctest::Contains("2^31 rows"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(construct(2, 0, 1, {1, 1}), doctest::Contains("num_envs"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(construct(2, 1, 0, {1, 1}), doctest::Contains("n_step"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(construct(2, 1, 1, {0, 1}), doctest::Contains("observation_space"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(construct(2, 1, 1, {1, 0}), doctest::Contains("frame_stack"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(construct(2, 1, 1, {1, 256}), doctest::Contains("frame_stack"), std::invalid_argument);
}
