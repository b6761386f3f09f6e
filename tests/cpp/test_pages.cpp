#include "mujigae/storage/pages.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <new>
#include <utility>

using mujigae::Pages;

namespace {

bool begins_at(const Pages& pages, std::int64_t alignment) {
  return reinterpret_cast<std::uintptr_t>(pages.get()) % static_cast<std::uintptr_t>(alignment) == 0;
}

}  // namespace

TEST_CASE("memory is zero to its last byte, writable, and begins at a cache line or a huge page") {
  for (const std::int64_t bytes :
       {std::int64_t{1}, std::int64_t{65}, Pages::kHugePage / 2 - 1, Pages::kHugePage / 2, 3 * Pages::kHugePage + 1}) {
    const Pages pages(bytes);
    CHECK(begins_at(pages, bytes < Pages::kHugePage / 2 ? 64 : Pages::kHugePage));
    CHECK(pages.get()[0] == std::byte{0});
    CHECK(pages.get()[bytes - 1] == std::byte{0});
    pages.get()[0] = pages.get()[bytes - 1] = std::byte{1};
  }
}

TEST_CASE("no bytes need no memory") {
  CHECK(!Pages());
  CHECK(!Pages(0));
}

TEST_CASE("memory moves with its owner and is not let go twice") {
  for (const std::int64_t bytes : {std::int64_t{100}, 2 * Pages::kHugePage}) {
    Pages first(bytes);
    std::byte* const begin = first.get();
    Pages second(std::move(first));
    CHECK(second.get() == begin);
    Pages third(bytes);
    third = std::move(second);
    CHECK(third.get() == begin);
    third.get()[bytes - 1] = std::byte{1};
  }
}

TEST_CASE("memory that there is not is refused") { CHECK_THROWS_AS(Pages(std::numeric_limits<std::int64_t>::max() / 4), std::bad_alloc); }
