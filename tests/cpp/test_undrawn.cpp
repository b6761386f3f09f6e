#include "mujigae/sampling/undrawn.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <vector>

using namespace mujigae;

TEST_CASE("draws and removals leave what a plain list would have left") {
  std::mt19937_64 random(1);
  for (std::int64_t size = 1; size < 60; ++size) {
    Undrawn undrawn(size, static_cast<std::size_t>(size));
    std::vector<std::int64_t> naive;
    for (std::int64_t i = 0; i < size; ++i) naive.push_back(i);
    while (!naive.empty()) {
      const auto index = static_cast<std::size_t>(random() % naive.size());
      const std::int64_t position = naive[index];
      if (random() % 2 == 0) {
        CHECK(undrawn.take(static_cast<std::int64_t>(index)) == position);
      } else {
        undrawn.remove(position);
      }
      naive[index] = naive.back();
      naive.pop_back();
      REQUIRE(undrawn.size() == static_cast<std::int64_t>(naive.size()));
    }
  }
}

TEST_CASE("all orders of draws are alike likely") {
  std::mt19937_64 random(2);
  std::map<std::vector<std::int64_t>, int> counts;
  for (int round = 0; round < 12000; ++round) {
    Undrawn undrawn(4, 3);
    std::vector<std::int64_t> drawn;
    for (int i = 0; i < 3; ++i) drawn.push_back(undrawn.take(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(4 - i))));
    ++counts[drawn];
  }
  REQUIRE(counts.size() == 24);
  double chi_square = 0.0;
  for (const auto& [order, count] : counts) chi_square += (count - 500.0) * (count - 500.0) / 500.0;
  CHECK(chi_square < 49.7);  // the 0.999 quantile of 23 degrees of freedom
}

TEST_CASE("positions of a size that no memory could list are drawn") {
  Undrawn undrawn(std::int64_t{1} << 60, 3);
  const std::int64_t last = (std::int64_t{1} << 60) - 1;
  CHECK(undrawn.take(5) == 5);
  CHECK(undrawn.take(5) == last);
  CHECK(undrawn.take(5) == last - 1);
}
