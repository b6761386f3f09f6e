#include "mujigae/storage/column.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

using namespace mujigae;

namespace {

bool begins_at(const void* memory, std::uintptr_t multiple) { return reinterpret_cast<std::uintptr_t>(memory) % multiple == 0; }

}  // namespace

TEST_CASE("a column is zeros from a cache line on, and keeps what is written") {
  for (const std::int64_t size : {1, 7, 100, 5000}) {
    Column<double> column(size);
    CHECK(begins_at(column.data(), 64));
    CHECK(column.nbytes() == 8 * size);
    CHECK(std::count(column.begin(), column.end(), 0.0) == size);
    column[size - 1] = 2.5;
    const Column<double> moved = std::move(column);
    CHECK(moved[size - 1] == 2.5);
  }
  CHECK(Column<double>(0).nbytes() == 0);
}

TEST_CASE("a column in memory that is given to it has what is there") {
  alignas(8) std::array<std::byte, 24> memory{};
  Column<std::int64_t> column(3, memory.data());
  column[2] = -1;
  CHECK(memory[23] == std::byte{255});
  CHECK(column[0] == 0);
}
