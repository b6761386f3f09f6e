#include "mujigae/storage/arena.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

using mujigae::Arena;

TEST_CASE("a block that was let go is the next block of its size") {
  const auto arena = std::make_shared<Arena>();
  auto block = arena->take(1000);
  std::byte* const memory = block.get();
  block.reset();
  CHECK(arena->take(1000).get() == memory);
}

TEST_CASE("a block is not handed out again while a copy of its pointer lives") {
  const auto arena = std::make_shared<Arena>();
  auto block = arena->take(64);
  const auto copy = block;
  block.reset();
  CHECK(arena->take(64).get() != copy.get());
}

TEST_CASE("a spare of another size is not used") {
  const auto arena = std::make_shared<Arena>();
  std::byte* const memory = arena->take(4096).get();
  const auto other = arena->take(4095);
  CHECK(other.get() != memory);
}

TEST_CASE("spares take no more than so many bytes, and those of the oldest size go first") {
  const auto arena = std::make_shared<Arena>();
  constexpr std::size_t large = Arena::kMaxSpareBytes / 2, small = 4096;
  arena->take(small);
  { const auto first = arena->take(large), second = arena->take(large), third = arena->take(large); }
  CHECK(arena->spare_bytes() == 2 * large);
  arena->take(small);
  CHECK(arena->spare_bytes() == small);
  { const auto too_large = arena->take(Arena::kMaxSpareBytes + 1); }
  CHECK(arena->spare_bytes() <= small);
  for (std::size_t size = 1; size <= Arena::kMaxSizes + 3; ++size) arena->take(size);
  CHECK(arena->spare_bytes() == Arena::kMaxSizes * (Arena::kMaxSizes + 7) / 2);
}

TEST_CASE("blocks are aligned to cache lines and writable to their last byte") {
  const auto arena = std::make_shared<Arena>();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{65}, std::size_t{100000}}) {
    const auto block = arena->take(size);
    REQUIRE(block.get() != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(block.get()) % Arena::kAlignment == 0);
    std::memset(block.get(), 0xff, size);
  }
}

TEST_CASE("blocks held at the same time are different blocks") {
  const auto arena = std::make_shared<Arena>();
  std::vector<std::shared_ptr<std::byte>> held;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) held.push_back(arena->take(32));
    std::set<std::byte*> distinct;
    for (const auto& block : held) distinct.insert(block.get());
    CHECK(distinct.size() == held.size());
    held.resize(5);
  }
}

TEST_CASE("blocks outlive the arena's owner") {
  auto arena = std::make_shared<Arena>();
  auto block = arena->take(128);
  arena.reset();
  std::memset(block.get(), 1, 128);
  CHECK(block.get()[127] == std::byte{1});
}

TEST_CASE("threads that take and return blocks never share one") {
  const auto arena = std::make_shared<Arena>();
  std::atomic<int> num_clashes = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&arena, &num_clashes, t] {
      for (int i = 0; i < 2000; ++i) {
        const std::size_t size = 64 * static_cast<std::size_t>(1 + i % 20);  // more sizes than the arena remembers
        const auto block = arena->take(size);
        std::memset(block.get(), t, size);
        for (std::size_t k = 0; k < size; ++k) num_clashes += block.get()[k] != static_cast<std::byte>(t);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(num_clashes == 0);
}
