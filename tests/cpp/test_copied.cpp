#include "mujigae/copied.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

using namespace mujigae;

TEST_CASE("few values and many are copied, and stay as they were when the original changes") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{65}, std::size_t{1000}}) {
    std::vector<std::int64_t> values(size);
    std::iota(values.begin(), values.end(), 7);
    const std::vector<std::int64_t> before = values;
    const Copied<std::int64_t> copied(values.data(), values.size());
    std::fill(values.begin(), values.end(), -1);
    const std::span<const std::int64_t> span = copied;
    CHECK(std::equal(span.begin(), span.end(), before.begin(), before.end()));
    CHECK(copied.size() == size);
  }
}

TEST_CASE("of booleans every byte that is not zero is true") {
  const std::vector<unsigned char> bytes = {0, 1, 2, 0, 255};
  const Copied<bool> copied(reinterpret_cast<const bool*>(bytes.data()), bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) CHECK(copied[i] == (bytes[i] != 0));
}
