#include "mujigae/sampling/power.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <bit>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

using mujigae::power;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double relative_error(double base, double exponent) {
  const long double exact = std::pow(static_cast<long double>(base), static_cast<long double>(exponent));
  return static_cast<double>(std::fabs((static_cast<long double>(power(base, exponent)) - exact) / exact));
}

}  // namespace

TEST_CASE("special cases are exact") {
  for (const double x : {0.0, 1e-320, 1e-300, 0.3, 1.0, 7.0, 1e300, kInfinity}) {
    CHECK(power(x, 0.0) == 1.0);
    CHECK(power(x, -0.0) == 1.0);
    CHECK(power(x, 1.0) == x);
  }
  for (const double y : {-1e300, -2.5, 0.1, 1.0, 1e300}) CHECK(power(1.0, y) == 1.0);
  CHECK(power(0.0, 1e-300) == 0.0);
  CHECK(power(0.0, -1e-300) == kInfinity);
  CHECK(power(kInfinity, 0.5) == kInfinity);
  CHECK(power(kInfinity, -0.5) == 0.0);
}

TEST_CASE("powers of two are exact down to the smallest subnormal number") {
  for (int k = -1074; k <= 1023; ++k) {
    REQUIRE(power(2.0, k) == std::ldexp(1.0, k));
    REQUIRE(power(0.5, -k) == std::ldexp(1.0, k));
  }
}

TEST_CASE("results beyond the range are infinity and zero") {
  CHECK(power(2.0, 1024.0) == kInfinity);
  CHECK(power(10.0, 1e300) == kInfinity);
  CHECK(power(0.1, -309.0) == kInfinity);
  CHECK(power(0.1, 1e300) == 0.0);
  CHECK(power(10.0, -330.0) == 0.0);
  CHECK(power(std::numeric_limits<double>::max(), 2.0) == kInfinity);
}

TEST_CASE("the error stays below 1e-15 for priorities and exponents of every magnitude") {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> magnitude(-300.0, 300.0), mantissa(1.0, 10.0), exponents(-1.0, 1.0);
  double worst = 0.0;
  for (int i = 0; i < 200000; ++i) {
    const double base = mantissa(random) * std::pow(10.0, magnitude(random));
    worst = std::max(worst, relative_error(base, exponents(random)));
  }
  CHECK(worst < 1e-15);
}

TEST_CASE("for large exponents the error grows no faster than the logarithm of the result") {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> distance(-16.0, -0.5), unit(-1.0, 1.0);
  double worst = 0.0;  // as a share of what is promised
  for (int i = 0; i < 100000; ++i) {
    const double base = 1.0 + std::copysign(std::pow(10.0, distance(random)), unit(random));
    if (base == 1.0) continue;
    const double logarithm = unit(random) * 1000.0;
    const double exponent = logarithm / std::log2(base);
    worst = std::max(worst, relative_error(base, exponent) / (0x1p-51 + std::fabs(logarithm) * 0x1p-57));
  }
  CHECK(worst < 1.0);
}

TEST_CASE("bases below the normal range are as exact as others") {
  for (const double base : {5e-324, 1e-320, 1e-310, 2.2e-308}) {
    for (const double exponent : {-0.9, -0.4, 0.25, 0.5, 0.6, 0.9}) {
      CAPTURE(base);
      CAPTURE(exponent);
      CHECK(relative_error(base, exponent) < 1e-15);
    }
  }
}

namespace {

// Bases of every magnitude and kind, made of random bits alone; libm has no part in them.
std::vector<double> bases_of_every_kind(std::size_t count) {
  std::mt19937_64 random(3);
  std::vector<double> bases = {0.0, 5e-324, 2.2e-308, 2.3e-308, 0.5, 0.7071067811865476, 1.0, 1.4142135623730951, 2.0, 1.7e308, kInfinity};
  while (bases.size() < count) {
    const std::uint64_t bits = random();
    const auto near_one = std::bit_cast<double>((bits >> 12) | 0x3FE0000000000000);
    const auto positive = std::bit_cast<double>(bits >> 1);
    bases.push_back(bits % 2 == 0 || positive != positive ? near_one : positive);
  }
  return bases;
}

const double kExponents[] = {0.6, 0.4, -0.4, 0.0, 1.0, 0.5, 2.0, -1.0, 1e-300, 37.5, -1e300};

}  // namespace

TEST_CASE("a batch of powers is the powers one by one, bit for bit, wherever they stand in it") {
  const auto bases = bases_of_every_kind(1'000'000);
  std::vector<double> batch(bases.size());
  power(bases, 0.6, batch);
  std::int64_t num_different = 0;
  for (std::size_t i = 0; i < bases.size(); ++i) {
    num_different += std::bit_cast<std::uint64_t>(batch[i]) != std::bit_cast<std::uint64_t>(power(bases[i], 0.6));
  }
  CHECK(num_different == 0);
  for (const double exponent : kExponents) {
    for (std::size_t begin = 0; begin < 5; ++begin) {
      for (std::size_t count = 0; count < 30; ++count) {
        std::vector<double> in_place(&bases[begin], &bases[begin + count]);
        power(in_place, exponent, in_place);
        for (std::size_t i = 0; i < count; ++i) REQUIRE(in_place[i] == power(bases[begin + i], exponent));
      }
    }
  }
}

TEST_CASE("every instruction set gives the same million powers") {  // the test runs with each
  const auto bases = bases_of_every_kind(1'000'000);
  std::vector<double> powers(bases.size());
  std::uint64_t hash = 0;
  for (const double exponent : kExponents) {
    power(bases, exponent, powers);
    for (const double x : powers) hash = std::rotl(hash, 5) * 0x9E3779B97F4A7C15 + std::bit_cast<std::uint64_t>(x);
  }
  CHECK(hash == 11846807097791662670U);
}

TEST_CASE("a larger priority never gets a smaller leaf") {
  for (const double alpha : {0.1, 0.5, 0.6, 0.9}) {
    double previous = 0.0;
    for (double p = 1e-6; p < 1e6; p *= 1.001) {
      const double leaf = power(p, alpha);
      REQUIRE(leaf > previous);
      previous = leaf;
    }
  }
}
