#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <vector>

#include "mujigae/frames/frame_mirror.hpp"
#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"

using namespace mujigae;

namespace {

struct TwoLanes {
  std::array<StackLane, 2> lanes{StackLane(make_frame_log({1, 2}, 4, false), 2), StackLane(make_frame_log({1, 2}, 4, false), 2)};
  std::array<const StackLane*, 2> pointers{&lanes[0], &lanes[1]};

  void append(std::size_t e, int count) {
    for (int i = 0; i < count; ++i) {
      const std::array<std::byte, 2> frame{std::byte{7}, std::byte{8}};
      lanes[e].reserve(2);
      if (lanes[e].current().newest() < 0) {
        lanes[e].start(frame.data());
      } else {
        lanes[e].append(frame.data());
      }
    }
  }
};

// What is on the device: the frames by their slots.
struct Device {
  std::vector<Bytes> frames;

  void copy(const std::vector<NewFrames>& new_frames, const std::vector<ObsLayout>& layouts) {
    frames.resize(new_frames.size());
    for (std::size_t c = 0; c < new_frames.size(); ++c) {
      const auto bytes = static_cast<std::size_t>(layouts[c].frame_bytes);
      frames[c].resize(static_cast<std::size_t>(new_frames[c].num_slots) * bytes);
      for (std::size_t i = 0; i < new_frames[c].slots.size(); ++i) {
        std::memcpy(frames[c].data() + static_cast<std::size_t>(new_frames[c].slots[i]) * bytes, new_frames[c].frames.data() + i * bytes,
                    bytes);
      }
    }
  }
  Bytes stacks(std::size_t c, const Bytes& slots, std::int64_t frame_bytes) const {
    Bytes out;
    for (std::size_t at = 0; at < slots.size(); at += sizeof(std::int64_t)) {
      std::int64_t slot;
      std::memcpy(&slot, slots.data() + at, sizeof slot);
      const auto frame = frames[c].begin() + slot * frame_bytes;
      out.insert(out.end(), frame, frame + frame_bytes);
    }
    return out;
  }
};

template <class S>
OwnedBatch draw_mirrored(BufferOf<S>& buffer, Device& device, const std::vector<ObsLayout>& layouts) {
  std::vector<ObsLayout> slots;
  for (const ObsLayout& layout : layouts) slots.push_back({sizeof(std::int64_t), layout.stack});
  OwnedBatch batch(16, slots);
  BatchView view = batch.view();
  view.wants_mirror_slots = true;
  for (bool is_drawn = false; !is_drawn;) {
    std::vector<NewFrames> new_frames;
    is_drawn = buffer.sample_mirrored(0.5, view, 30, new_frames);
    device.copy(new_frames, layouts);
  }
  for (std::size_t c = 0; c < layouts.size(); ++c) {
    batch.obs[c] = device.stacks(c, batch.obs[c], layouts[c].frame_bytes);
    batch.next_obs[c] = device.stacks(c, batch.next_obs[c], layouts[c].frame_bytes);
  }
  return batch;
}

}  // namespace

TEST_CASE("what is new is copied once") {
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

TEST_CASE("no more is copied at a time than is wanted") {
  TwoLanes two;
  FrameMirror mirror(2, 4);
  two.append(0, 3);
  two.append(1, 3);
  const auto fresh = mirror.fresh(two.pointers, 5);
  REQUIRE(fresh.size() == 2);
  CHECK(fresh[0].count == 4);
  CHECK(fresh[1].count == 1);
}

TEST_CASE("frames that are gone are not copied") {
  TwoLanes two;
  FrameMirror mirror(2, 4);
  two.append(0, 6);
  two.lanes[0].drop_before(4);
  const auto fresh = mirror.fresh(two.pointers, 100);
  REQUIRE(fresh.size() == 1);
  CHECK(fresh[0].first == 4);
  CHECK(fresh[0].count == 3);
}

TEST_CASE("a lane with more frames than slots moves everything to more slots") {
  TwoLanes two;
  FrameMirror mirror(2, 1);
  two.append(1, 1);
  mirror.mark(mirror.fresh(two.pointers, 100));
  const auto before = mirror.num_slots();
  two.append(0, 40);
  CHECK(mirror.fresh(two.pointers, 100).size() == 2);
  CHECK(mirror.num_slots() > before);
  CHECK(mirror.num_slots() >= 2 * 41 + 1);
}

TEST_CASE("slots of held frames differ, and zeros have the last") {
  const FrameMirror mirror(2, 4);
  const auto per_lane = (mirror.num_slots() - 1) / 2;
  CHECK(mirror.slot(0, -1) == mirror.num_slots() - 1);
  CHECK(mirror.slot(0, per_lane) == mirror.slot(0, 0));
  CHECK(mirror.slot(1, 0) == per_lane);
  CHECK(mirror.slot(1, per_lane - 1) == mirror.num_slots() - 2);
}

TEST_CASE_TEMPLATE("the slots of a batch hold what a batch of frames holds", S, Uniform, Proportional) {
  const std::vector<ObsLayout> layouts = {{3, 4}, {5, 1}};
  const BufferSettings settings = settings_of(40, 2, 3, layouts);
  BufferOf<S> plain(settings, {}), mirrored(settings, {});
  RollingEnvironment environment(5, layouts);
  Device device;
  for (std::int64_t t = 0; t < 300; ++t) {
    const OwnedSteps steps(1, {t % 2}, {environment.step(t)});
    for (BufferOf<S>* buffer : {&plain, &mirrored}) buffer->add(steps.view());
    if (t % 9 != 8) continue;
    if (t % 100 == 89) {
      mirrored.restart_mirrors();
      device.frames.clear();
    }
    OwnedBatch expected(16, layouts);
    plain.sample(0.5, expected.view());
    CHECK(draw_mirrored(mirrored, device, layouts) == expected);
  }
}
