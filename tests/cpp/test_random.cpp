#include "mujigae/sampling/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

using mujigae::Philox;

namespace {

std::vector<std::uint64_t> draw(Philox::Key key, std::uint64_t counter, std::size_t count) {
  Philox random(key, counter);
  std::vector<std::uint64_t> words(count);
  random.fill(words);
  return words;
}

}  // namespace

// Known answers: NumPy 2.4, np.random.Philox(key=[low, high], counter=counter).random_raw(8).

TEST_CASE("the stream of key 0 is NumPy's") {
  CHECK(draw({0, 0}, 0, 8) == std::vector<std::uint64_t>{0x02f4ba6408e4d89b, 0x3dd62b0b9ca8c5b2, 0x1c8667a55d902e79, 0x907d7a052fd5b4dc,
                                                         0x809bf322883987c3, 0x471128b9e807f7dd, 0xf250ba0dbec065b7, 0xfc6ed66767a457bc});
}

TEST_CASE("the stream of another key and counter is NumPy's") {
  CHECK(draw({0x0123456789abcdef, 0xfedcba9876543210}, 7, 8) ==
        std::vector<std::uint64_t>{0xcd065aa747a6e46d, 0x154605f80dde3ada, 0xc5d8a6fd189c2301, 0x736a662a867273d6, 0xd53828d2cb3b4681,
                                   0x00a911dc89ee5781, 0x616cc813b14623dc, 0x6b7aabb072a74503});
}

TEST_CASE("the stream crosses a counter of 32 bits as NumPy's does, with every bit of the key set") {
  const std::uint64_t ones = ~std::uint64_t{0};
  CHECK(draw({ones, ones}, 0xfffffffe, 8) == std::vector<std::uint64_t>{0x878475cf5e9577d3, 0x042b92d20b541dd5, 0x50fff29b1b990f17,
                                                                        0x970c758253ab30c1, 0xf45c3ceda8b79b7b, 0x64385dc7ee35ca9b,
                                                                        0x8875c9773a2bbe69, 0x76c54d9914873033});
}

TEST_CASE("every fill starts at a fresh block, so key and counter are the whole state") {
  Philox random({3, 4}, 10);
  std::array<std::uint64_t, 5> first;
  std::array<std::uint64_t, 3> second;
  random.fill(first);
  CHECK(random.counter() == 12);  // 5 words are 2 blocks
  Philox resumed(random.key(), random.counter());
  random.fill(second);
  std::array<std::uint64_t, 3> again;
  resumed.fill(again);
  CHECK(second == again);
  const auto whole = draw({3, 4}, 10, 12);
  CHECK(std::equal(first.begin(), first.end(), whole.begin()));
  CHECK(std::equal(second.begin(), second.end(), whole.begin() + 8));
}

TEST_CASE("a fill of any length, from any block on, is that part of the one stream") {
  const Philox::Key key = {0x0123456789abcdef, 0xfedcba9876543210};
  const auto whole = draw(key, 0, 400);
  for (std::size_t length = 1; length <= 70; ++length) {
    for (const std::uint64_t counter : {0, 1, 2, 3, 63, 64, 80}) {
      const auto part = draw(key, counter, length);
      REQUIRE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(4 * counter)));
    }
  }
}

TEST_CASE("an empty fill leaves the stream where it is") {
  Philox random({1, 2}, 5);
  random.fill({});
  CHECK(random.counter() == 5);
}

TEST_CASE("unit_interval reaches both ends of [0, 1) and makes NumPy's doubles") {
  CHECK(mujigae::unit_interval(0) == 0.0);
  CHECK(mujigae::unit_interval(~std::uint64_t{0}) == 1.0 - 0x1p-53);
  CHECK(mujigae::unit_interval(0x02f4ba6408e4d89b) == 0.011546754286331562);
  CHECK(mujigae::unit_interval(0x3dd62b0b9ca8c5b2) == 0.24154919656271812);
}
