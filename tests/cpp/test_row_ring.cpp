#include "mujigae/replay/row_ring.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <set>
#include <stdexcept>
#include <vector>

using namespace mujigae;

namespace {

constexpr std::uint8_t kOpen = 0, kTerminated = RowRing::kTerminated, kTruncated = RowRing::kTruncated;

std::int64_t append(RowRing& rows, std::int64_t lane, double reward, std::uint8_t flags = kOpen) {
  const std::int64_t action = static_cast<std::int64_t>(reward) + 1;
  const std::int64_t slot = rows.append(lane, reward, flags, reinterpret_cast<const std::byte*>(&action));
  rows.lane(lane).issued_end = rows.lane(lane).next;  // as the buffer notes when a row can be drawn
  return slot;
}

}  // namespace

TEST_CASE("lanes share the capacity, the first ones get one row more, and no slot is lost or shared") {
  for (std::int64_t num_lanes = 1; num_lanes <= 9; ++num_lanes) {
    for (std::int64_t capacity = num_lanes; capacity <= 40; ++capacity) {
      for (const std::int64_t spare : {0, 1, 5}) {
        const RowRing rows(capacity, num_lanes, spare, 1, 0);
        REQUIRE(rows.num_slots() == capacity + num_lanes * spare);
        std::int64_t slot = 0;
        for (std::int64_t e = 0; e < num_lanes; ++e) {
          const Lane& lane = rows.lane(e);
          REQUIRE(lane.capacity == capacity / num_lanes + (e < capacity % num_lanes ? 1 : 0));
          REQUIRE(lane.slots == lane.capacity + spare);
          for (std::int64_t i = 0; i < lane.slots; ++i, ++slot) REQUIRE(rows.row_in(slot).lane == e);
        }
        REQUIRE(slot == rows.num_slots());
      }
    }
  }
}

TEST_CASE("what was appended is read back from its slot, with its action") {
  RowRing rows(6, 2, 2, 8, 0);
  for (int i = 0; i < 30; ++i) {
    for (std::int64_t e = 0; e < 2; ++e) {
      const std::int64_t slot = append(rows, e, 100.0 * static_cast<double>(e) + i, i % 4 == 0 ? kTruncated : kOpen);
      CHECK(rows.reward(slot) == 100.0 * static_cast<double>(e) + i);
      CHECK(rows.flags(slot) == (i % 4 == 0 ? kTruncated : kOpen));
      std::int64_t action;  // wherever it lies
      std::memcpy(&action, rows.action(slot), sizeof(action));
      CHECK(action == 100 * e + i + 1);
      rows.lane(e).first = std::max<std::int64_t>(0, i - 3);
    }
  }
}

TEST_CASE("a key names one row for ever: it is held, then stale, and its slot's next key is another") {
  RowRing rows(5, 2, 1, 8, 0);
  std::set<std::int64_t> keys;
  for (std::int64_t i = 0; i < 50; ++i) {
    for (std::int64_t e = 0; e < 2; ++e) {
      Lane& lane = rows.lane(e);
      if (lane.num_held() == lane.slots) ++lane.first;
      const std::int64_t key = rows.key_of(append(rows, e, 0.0));
      CHECK(keys.insert(key).second);
      const RowRing::Row row = rows.row_of_key(key, 0);
      CHECK(row.lane == e);
      CHECK(row.row == i);
      CHECK(rows.is_held(row));
    }
  }
  std::int64_t num_held = 0;
  for (const std::int64_t key : keys) {
    const RowRing::Row row = rows.row_of_key(key, 0);
    num_held += rows.is_held(row);
    CHECK(rows.is_ready(row, {0, 0}) == rows.is_held(row));
  }
  CHECK(num_held == rows.num_slots());
}

TEST_CASE("keys that were never issued are refused") {
  RowRing rows(4, 1, 1, 8, 0);
  CHECK_THROWS_AS(rows.row_of_key(0, 0), std::out_of_range);
  append(rows, 0, 0.0);
  CHECK_NOTHROW(rows.row_of_key(0, 0));
  CHECK_THROWS_AS(rows.row_of_key(1, 0), std::out_of_range);
  CHECK_THROWS_AS(rows.row_of_key(-1, 0), std::out_of_range);
  CHECK_THROWS_AS(rows.row_of_key(5, 0), std::out_of_range);  // no such slot
  CHECK_THROWS_AS(rows.row_of_key(std::int64_t{1} << 32, 0), std::out_of_range);
  CHECK_THROWS_WITH_AS(rows.row_of_key(INT64_MAX, 7), doctest::Contains("key[7]"), std::out_of_range);
}

TEST_CASE("the rows that can be drawn are those whose window is complete, for every n and pattern of endings") {
  for (std::uint32_t pattern = 0; pattern < 256; ++pattern) {
    RowRing rows(8, 1, 8, 8, 0);
    std::deque<bool> ended;
    for (int i = 0; i < 8; ++i) {
      const bool ends = (pattern >> i & 1) != 0;
      append(rows, 0, i, ends ? kTerminated : kOpen);
      ended.push_back(ends);
    }
    for (std::int64_t n_step = 1; n_step <= 9; ++n_step) {
      std::int64_t num_ready = 0;
      for (std::int64_t row = 0; row < 8; ++row) {
        bool is_complete = row + n_step <= 8;
        for (std::int64_t i = row; i < std::min<std::int64_t>(row + n_step, 8); ++i) is_complete |= ended[static_cast<std::size_t>(i)];
        REQUIRE(rows.is_ready({0, row}, {0, n_step - 1}) == is_complete);
        num_ready += is_complete;
      }
      REQUIRE(rows.num_ready({0, n_step - 1}) == num_ready);
    }
  }
}

TEST_CASE("a window stops at an interruption and keeps its discount") {
  RowRing rows(8, 1, 4, 8, 0);
  append(rows, 0, 1.0);
  append(rows, 0, 2.0);
  CHECK(rows.num_ready({0, 2}) == 0);
  CHECK(rows.lane(0).has_open_episode());
  rows.interrupt(0);
  CHECK(!rows.lane(0).has_open_episode());
  append(rows, 0, 100.0);
  CHECK(rows.num_ready({0, 2}) == 2);
  const Window window = rows.window({0, 0}, 3, 0.5);
  CHECK(window.reward == 2.0);
  CHECK(window.discount == 0.25);
  CHECK(window.num_steps == 2);
  CHECK(!window.terminated);
}

TEST_CASE("clear empties every lane, and keys from before are stale, not unknown") {
  RowRing rows(4, 2, 1, 8, 0);
  const std::int64_t key = rows.key_of(append(rows, 1, 0.0, RowRing::kTerminated));
  CHECK(rows.num_ready({0, 0}) == 1);
  rows.clear();
  CHECK(rows.num_ready({0, 0}) == 0);
  CHECK(!rows.is_held(rows.row_of_key(key, 0)));
  CHECK(rows.key_of(append(rows, 1, 0.0)) != key);
}

TEST_CASE("keys name rows up to 2^62 of them, whatever the capacity") {
  for (const std::int64_t capacity : {std::int64_t{1}, std::int64_t{3}, std::int64_t{1000}, std::int64_t{1} << 16}) {
    RowRing rows(capacity, 1, 1, 8, 0);
    Lane& lane = rows.lane(0);
    const std::int64_t last = (std::int64_t{1} << 62) - 1;
    for (std::int64_t row = 1; row < last; row *= 3) {
      lane.first = lane.next = lane.episode_start = row;
      append(rows, 0, 1.0, kTerminated);
      lane.issued_end = lane.next;
      const std::int64_t key = rows.key_of(lane.slot(row));
      REQUIRE(key >= 0);
      REQUIRE(rows.row_of_key(key, 0).row == row);
      if (row > last / 3) break;
    }
  }
}

TEST_CASE("after a kill the keys of rows that were lost stay dead, and those of rows held keep naming them") {
  RowRing rows(8, 1, 2, 8, 0);
  Lane& lane = rows.lane(0);
  const auto add = [&](int count) {
    for (int i = 0; i < count; ++i) append(rows, 0, 1.0, kTerminated);
    lane.first = std::max<std::int64_t>(lane.next - 8, 0);
    lane.issued_end = lane.next;
  };
  add(5);
  std::vector<std::int64_t> held, lost;
  for (int kill = 0; kill < 12; ++kill) {
    const std::int64_t flushed = lane.next;
    held.clear();
    for (std::int64_t row = lane.first; row < flushed; ++row) held.push_back(rows.key_of(lane.slot(row)));
    add(3);
    for (std::int64_t row = flushed; row < lane.next; ++row) lost.push_back(rows.key_of(lane.slot(row)));
    lane.next = lane.episode_start = lane.issued_end = flushed;
    lane.first = std::max<std::int64_t>(flushed - 5, 0);
    REQUIRE(rows.begin_epoch(0));
    if (kill % 3 != 2) add(2);  // now and then nothing is added before the next kill
    for (std::int64_t row = lane.first; row < lane.next; ++row) {
      const std::int64_t key = rows.key_of(lane.slot(row));
      CHECK(rows.row_of_key(key, 0).row == row);
      CHECK(std::count(lost.begin(), lost.end(), key) == 0);
    }
    for (const std::int64_t key : lost) CHECK_FALSE(rows.is_held(rows.row_of_key(key, 0)));
    for (const std::int64_t key : held) {
      const RowRing::Row row = rows.row_of_key(key, 0);
      if (rows.is_held(row)) CHECK(row.row < flushed);
    }
  }
}
