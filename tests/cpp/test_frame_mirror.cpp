#include <doctest/doctest.h>

#include <array>
#include <cstddef>

#include "mujigae/frame_mirror.hpp"

using mujigae::FrameMirror;
using mujigae::StackLane;

namespace {

struct TwoLanes {
  std::array<StackLane, 2> lanes{StackLane(mujigae::make_frame_log({1, 2}, 4, false), 2), StackLane(mujigae::make_frame_log({1, 2}, 4, false), 2)};
  std::array<const StackLane*, 2> pointers{&lanes[0], &lanes[1]};

  void append(std::size_t e, int count) {
    for (int i = 0; i < count; ++i) {
      const std::array<std::byte, 2> frame{std::byte{7}, std::byte{8}};
      lanes[e].reserve(2);
      if (lanes[e].current().newest < 0) {
        lanes[e].start(frame.data());
      } else {
        lanes[e].append(frame.data());
      }
    }
  }
};

}  // namespace

TEST_CASE("what is new is brought once") {
  TwoLanes two;
  FrameMirror mirror(2, 4);
  two.append(0, 3);  // the first stack has two frames
  two.append(1, 1);
  auto fresh = mirror.fresh(two.pointers, 100);
  REQUIRE(fresh.size() == 2);
  CHECK(fresh[0].count == 4);
  CHECK(fresh[1].lane == 1);
  mirror.mark(fresh);
  CHECK(mirror.fresh(two.pointers, 100).empty());
  two.append(1, 1);
  fresh = mirror.fresh(two.pointers, 100);
  REQUIRE(fresh.size() == 1);
  CHECK(fresh[0].first == 2);
  mirror.restart();
  CHECK(mirror.fresh(two.pointers, 100).size() == 2);
}

TEST_CASE("no more is brought at a time than is wanted") {
  TwoLanes two;
  FrameMirror mirror(2, 4);
  two.append(0, 3);
  two.append(1, 3);
  const auto fresh = mirror.fresh(two.pointers, 5);
  REQUIRE(fresh.size() == 2);
  CHECK(fresh[0].count == 4);
  CHECK(fresh[1].count == 1);
}

TEST_CASE("frames that are gone are not brought") {
  TwoLanes two;
  FrameMirror mirror(2, 4);
  two.append(0, 6);
  two.lanes[0].drop_before(4);
  const auto fresh = mirror.fresh(two.pointers, 100);
  REQUIRE(fresh.size() == 1);
  CHECK(fresh[0].first == 4);
  CHECK(fresh[0].count == 3);
}

TEST_CASE("a lane with more frames than places moves everything to more places") {
  TwoLanes two;
  FrameMirror mirror(2, 1);
  two.append(1, 1);
  mirror.mark(mirror.fresh(two.pointers, 100));
  const auto before = mirror.num_places();
  two.append(0, 40);
  CHECK(mirror.fresh(two.pointers, 100).size() == 2);
  CHECK(mirror.num_places() > before);
  CHECK(mirror.num_places() >= 2 * 41 + 1);
}

TEST_CASE("places of held frames differ, and zeros have the last") {
  const FrameMirror mirror(2, 4);
  const auto per_lane = (mirror.num_places() - 1) / 2;
  CHECK(mirror.place(0, -1) == mirror.num_places() - 1);
  CHECK(mirror.place(0, per_lane) == mirror.place(0, 0));
  CHECK(mirror.place(1, 0) == per_lane);
  CHECK(mirror.place(1, per_lane - 1) == mirror.num_places() - 2);
}
