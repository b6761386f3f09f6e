#include "mujigae/check.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>

using namespace mujigae;

namespace {

std::string as_streams_print(double value) {
  std::ostringstream stream;
  stream << std::setprecision(std::numeric_limits<double>::max_digits10) << value;
  return stream.str();
}

}  // namespace

TEST_CASE("a message is its parts one after the other, whole numbers of any width among them") {
  CHECK(concat() == "");
  CHECK(concat("capacity: got ", -3, " of ", std::string("many"), ", ", UINT64_MAX, " and ", INT64_MIN, true) ==
        "capacity: got -3 of many, 18446744073709551615 and -92233720368547758081");
  CHECK_THROWS_WITH_AS(fail_value("gamma: got ", 1.5), "gamma: got 1.5", std::invalid_argument);
  CHECK_THROWS_WITH_AS(fail_index("slots[", std::size_t{2}, "]"), "slots[2]", std::out_of_range);
}

TEST_CASE("a double in a message can be read back, and looks as streams print it") {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const double value : {0.0, -0.0, 1.0, 0.1, -2.5, 1e16, 1e17, 1.5e300, 5e-324, infinity, -infinity, nan, std::copysign(nan, -1.0)}) {
    CHECK(concat(value) == as_streams_print(value));
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const double value = std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 2000) - 1060);
    REQUIRE(concat(value) == as_streams_print(value));
    REQUIRE(std::stod(concat(value)) == value);
  }
}
