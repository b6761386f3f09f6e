#include "mujigae/storage/page_pool.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

using namespace mujigae;

namespace {

constexpr std::int64_t kBytes = 1'000'001;  // no multiple of anything

}  // namespace

TEST_CASE("blocks begin at cache lines, do not overlap, and are all there to be written") {
  PagePool pool;
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 100; ++i) {  // of several pieces
    blocks.push_back(pool.take(kBytes));
    CHECK(reinterpret_cast<std::uintptr_t>(blocks.back()) % 64 == 0);
    std::memset(blocks.back(), i, kBytes);
  }
  for (int i = 0; i < 100; ++i) {
    const std::byte* const block = blocks[static_cast<std::size_t>(i)];
    CHECK(block[0] == static_cast<std::byte>(i));
    CHECK(std::memcmp(block, block + 1, kBytes - 1) == 0);
  }
  for (std::byte* const block : blocks) pool.give_back(block, kBytes);
}

TEST_CASE("a block that was given back is taken again, by whoever asks for as many bytes") {
  PagePool pool;
  std::byte* const first = pool.take(kBytes);
  std::byte* const second = pool.take(kBytes);
  pool.give_back(first, kBytes);
  CHECK(pool.nbytes() == kBytes);
  CHECK(pool.take(kBytes / 2) != first);
  CHECK(pool.take(kBytes) == first);
  CHECK(pool.nbytes() == 0);
  CHECK(second != first);
}

TEST_CASE("without a block in use the memory goes back to the system, and may be asked for again") {
  PagePool pool;
  std::set<std::byte*> blocks;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i) blocks.insert(pool.take(kBytes));
    CHECK(blocks.size() == 50);
    for (std::byte* const block : blocks) pool.give_back(block, kBytes);
    blocks.clear();
    CHECK(pool.nbytes() == 0);
  }
}
