#include "mujigae/frames/frame_ring.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <span>
#include <stdexcept>
#include <vector>

using namespace mujigae;

namespace {

using Bytes = std::vector<std::byte>;
using Random = std::mt19937_64;
enum class Start { kZeros, kRepeat, kArbitrary, kContinues, kEqual, kNumStarts };

Bytes random_frame(Random& random, std::int64_t frame_bytes) {  // few values, so that frames are often equal or zero
  Bytes frame;
  for (std::int64_t i = 0; i < frame_bytes; ++i) frame.push_back(static_cast<std::byte>(random() % 2));
  return frame;
}

// The definition: a stack is k frames, all stored.
struct NaiveStack {
  std::vector<Bytes> frames;

  void roll(const Bytes& frame) {
    frames.erase(frames.begin());
    frames.push_back(frame);
  }
  Bytes bytes() const {
    Bytes out;
    for (const Bytes& frame : frames) out.insert(out.end(), frame.begin(), frame.end());
    return out;
  }
};

NaiveStack first_stack(Start start, const NaiveStack& previous, std::size_t k, std::int64_t frame_bytes, Random& random) {
  const Bytes frame = random_frame(random, frame_bytes);
  NaiveStack stack;
  if (start == Start::kZeros) stack.frames.assign(k, Bytes(frame.size()));
  if (start == Start::kRepeat) stack.frames.assign(k, frame);
  if (start == Start::kContinues || start == Start::kEqual) stack = previous;
  if (start == Start::kArbitrary || stack.frames.empty()) {
    stack.frames.clear();
    for (std::size_t i = 0; i < k; ++i) stack.frames.push_back(random_frame(random, frame_bytes));
  }
  if (start == Start::kZeros || start == Start::kContinues) stack.roll(frame);
  return stack;
}

void check_random_episodes(std::int64_t capacity, std::int64_t frame_bytes, std::int64_t k, std::uint64_t seed, bool compress) {
  Random random(seed);
  FrameRing ring(capacity, {frame_bytes, k, 40}, compress);
  std::vector<Bytes> slots(static_cast<std::size_t>(capacity));  // what each slot should give back
  NaiveStack current;
  std::int64_t num_wrong = 0;
  for (int i = 0; i < 400; ++i) {
    std::int64_t slot;
    if (i == 0 || random() % 6 == 0) {
      const auto start = static_cast<Start>(random() % static_cast<std::uint64_t>(Start::kNumStarts));
      current = first_stack(start, current, static_cast<std::size_t>(k), frame_bytes, random);
      slot = ring.start(current.bytes().data());
    } else {
      current.roll(random_frame(random, frame_bytes));
      slot = ring.append(current.frames.back().data());
    }
    REQUIRE(slot == i % capacity);
    slots[static_cast<std::size_t>(slot)] = current.bytes();
    Bytes out(static_cast<std::size_t>(k * frame_bytes));
    for (std::int64_t s = 0; s < ring.size(); ++s) {
      ring.read(s, out.data());
      num_wrong += out != slots[static_cast<std::size_t>(s)];
    }
    REQUIRE(ring.why_invalid() == "");
  }
  CHECK(num_wrong == 0);
}

StackLane lane_of(std::int64_t frame_bytes, std::int64_t k, bool compress = false) {
  return {make_frame_log({frame_bytes, k}, 100, compress), k};
}

Bytes filled(std::size_t count, int value) { return Bytes(count, static_cast<std::byte>(value)); }

}  // namespace

TEST_CASE("every stack comes back bit for bit, through every kind of first stack and recycled frames") {
  std::uint64_t seed = 0;
  for (const std::int64_t k : {1, 2, 3, 4, 7}) {
    for (const std::int64_t capacity : {1, 2, 5, 16, 50}) {
      for (const std::int64_t frame_bytes : {1, 2, 3, 1500}) {
        if (frame_bytes == 1500 && capacity > 16) continue;
        CAPTURE(k);
        CAPTURE(capacity);
        CAPTURE(frame_bytes);
        check_random_episodes(capacity, frame_bytes, k, ++seed, false);
        if (frame_bytes == 1500 && capacity <= 5) check_random_episodes(capacity, frame_bytes, k, ++seed, true);
      }
    }
  }
}

TEST_CASE("zeros, repeats, a continued and an equal first stack cost one frame at most") {
  StackLane lane = lane_of(8, 4);
  const auto num_frames = [&lane] { return lane.log().end(); };
  const auto stack_of = [](std::initializer_list<int> values) {
    Bytes out;
    for (const int value : values) out.insert(out.end(), 8, static_cast<std::byte>(value));
    return out;
  };
  lane.start(stack_of({0, 0, 0, 5}).data());
  CHECK(num_frames() == 1);
  lane.append(filled(8, 6).data());
  CHECK(num_frames() == 2);
  lane.start(stack_of({0, 0, 5, 6}).data());  // equal
  CHECK(num_frames() == 2);
  lane.start(stack_of({0, 5, 6, 7}).data());  // continued
  CHECK(num_frames() == 3);
  lane.start(stack_of({9, 9, 9, 9}).data());
  CHECK(num_frames() == 4);
  lane.start(stack_of({1, 2, 3, 4}).data());  // no convention: all four
  CHECK(num_frames() == 8);
}

TEST_CASE("an all-zero stack and a half repeated one are exact") {
  StackLane lane = lane_of(2, 4);
  Bytes out(8);
  for (const Bytes& frames :
       {Bytes(8), Bytes{std::byte{1}, std::byte{2}, std::byte{1}, std::byte{2}, std::byte{0}, std::byte{0}, std::byte{1}, std::byte{2}}}) {
    lane.read(lane.start(frames.data()), out.data());
    CHECK(out == frames);
  }
}

TEST_CASE("the successor of a stack is what append returned after it") {
  Random random(3);
  StackLane lane = lane_of(3, 4);
  Stack previous = lane.start(Bytes(12).data());
  for (int i = 0; i < 10; ++i) {
    const Stack next = lane.append(random_frame(random, 3).data());
    CHECK(lane.successor(previous) == next);
    previous = next;
  }
}

TEST_CASE("memory is bounded by what is held, and shrinks from the front") {
  const std::int64_t frame_bytes = 4096;
  FrameRing ring(64, {frame_bytes, 4});
  const Bytes frame = filled(4096, 1);
  ring.start(filled(4 * 4096, 1).data());
  std::int64_t largest = 0;
  for (int i = 0; i < 2000; ++i) {
    ring.append(frame.data());
    largest = std::max(largest, ring.nbytes());
  }
  CHECK(largest <= (64 + 3 + 2) * frame_bytes + 64 * 64);

  PlainFrameLog log(frame_bytes, 64);
  for (int i = 0; i < 500; ++i) log.append(frame.data());
  const std::int64_t full = log.nbytes();
  log.drop_before(499);
  CHECK(log.nbytes() < full / 100);
  CHECK(log.begin() == 499);
  log.drop_before(100);  // never grows backwards
  CHECK(log.begin() == 499);
  log.drop_before(10000);  // never past the end
  CHECK(log.begin() == 500);
  CHECK(log.append(frame.data()) == 500);
  CHECK(*log[500] == std::byte{1});
}

TEST_CASE("frame positions go on after a restart") {
  PlainFrameLog log(100, 1000);
  log.restart_at(123456789);
  const Bytes frame = filled(100, 7);
  for (int i = 0; i < 300; ++i) CHECK(log.append(frame.data()) == 123456789 + i);
  CHECK(*log[123456789] == std::byte{7});
  CHECK(log.end() - log.begin() == 300);
}

TEST_CASE("after reserve, that many appends allocate nothing") {
  PlainFrameLog log(1000, 64);
  log.append(filled(1000, 1).data());
  log.reserve(20);
  const std::int64_t before = log.nbytes();
  for (int i = 0; i < 20; ++i) log.append(filled(1000, 2).data());
  CHECK(log.nbytes() == before);
}

TEST_CASE("a cleared lane starts anew, without the stack before") {
  StackLane lane = lane_of(1, 2);
  lane.start(filled(2, 5).data());
  lane.append(filled(1, 6).data());
  lane.clear();
  CHECK(lane.why_invalid() == "");
  CHECK(lane.current().newest() == -1);
  Bytes out(2);
  const Bytes frames = {std::byte{5}, std::byte{6}};  // equal to the stack that was forgotten
  lane.read(lane.start(frames.data()), out.data());
  CHECK(out == frames);
}

TEST_CASE("append without a start and slots out of range are refused") {
  FrameRing ring(4, {2, 2});
  CHECK_THROWS_AS(ring.append(filled(2, 1).data()), std::invalid_argument);
  CHECK_THROWS_AS(ring.check_slot(0, 0), std::out_of_range);
  ring.start(filled(4, 1).data());
  CHECK_NOTHROW(ring.check_slot(0, 0));
  CHECK_THROWS_AS(ring.check_slot(1, 0), std::out_of_range);
  CHECK_THROWS_AS(ring.check_slot(-1, 0), std::out_of_range);
}

TEST_CASE("stacks are equal when frame, depth and padding are") {
  const Stack stack{5, 2, Padding::kZeros};
  CHECK(stack == Stack{5, 2, Padding::kZeros});
  CHECK(stack != Stack{6, 2, Padding::kZeros});
  CHECK(stack != Stack{5, 1, Padding::kZeros});
  CHECK(stack != Stack{5, 2, Padding::kRepeat});
}

TEST_CASE("two overlapping stacks are read as each of them would be on its own") {
  Random random(5);
  for (const bool compress : {false, true}) {
    for (const std::int64_t k : {1, 2, 4}) {
      StackLane lane = lane_of(1200, k, compress);
      std::vector<Stack> stacks;
      for (int i = 0; i < 60; ++i) {
        const bool starts = i == 0 || random() % 20 == 0;
        stacks.push_back(
            starts ? lane.start(first_stack(static_cast<Start>(random() % 3), {}, static_cast<std::size_t>(k), 1200, random).bytes().data())
                   : lane.append(random_frame(random, 1200).data()));
      }
      const auto size = static_cast<std::size_t>(k * 1200);
      Bytes first(size), second(size), first_alone(size), second_alone(size);
      for (std::size_t i = 0; i < stacks.size(); ++i) {
        const Stack& later = stacks[std::min(i + random() % (2 * static_cast<std::size_t>(k) + 2), stacks.size() - 1)];
        lane.read_both(stacks[i], first.data(), later, second.data());
        lane.read(stacks[i], first_alone.data());
        lane.read(later, second_alone.data());
        CHECK(first == first_alone);
        CHECK(second == second_alone);
      }
    }
  }
}

TEST_CASE("room for no frame is no memory") {
  StackLane lane = lane_of(8, 2);
  const std::int64_t before = lane.log().nbytes();
  lane.reserve(0);
  CHECK(lane.log().nbytes() == before);
}

TEST_CASE("a lane whose frames are not those that were announced says so") {
  const auto reason = [](std::int64_t begin, std::int64_t end, const Stack& current) {
    StackLane lane = lane_of(1, 3);
    lane.start(Bytes{std::byte{1}, std::byte{2}, std::byte{3}}.data());
    lane.expect_frames(begin, end, current);
    return lane.why_invalid();
  };
  CHECK(reason(0, 3, {2, 2, Padding::kZeros}) == "");
  CHECK(reason(0, 2, {2, 2, Padding::kZeros}) == "3 frames, expected 2");
  CHECK(reason(0, 3, {1, 0, Padding::kZeros}) == "a current stack that is not among the frames");
  CHECK(reason(0, 3, {2, 3, Padding::kZeros}) == "a current stack that is not among the frames");
  StackLane empty = lane_of(1, 3);
  empty.expect_frames(0, 0, {0, 0, Padding::kZeros});
  CHECK(empty.why_invalid() == "a current stack that is not among the frames");
}

TEST_CASE("a lane takes what a section of a snapshot holds, if it is complete frames and no more than announced") {
  SnapshotWriter writer;
  writer.section(section_tag("FRAM"), std::span<const std::byte>(filled(10, 5)));
  writer.commit();
  const auto load = [&](std::int64_t frame_bytes, std::int64_t max_frames) {
    SnapshotReader reader{std::span(writer.bytes())};
    PlainFrameLog log(frame_bytes, 10);
    log.load(reader, max_frames);
    return log.end();
  };
  CHECK(load(5, 2) == 2);
  CHECK(load(2, 100) == 5);
  CHECK_THROWS_WITH_AS(load(3, 100), doctest::Contains("ends within a frame"), SnapshotError);
  CHECK_THROWS_WITH_AS(load(5, 1), doctest::Contains("more frames than the lane refers to"), SnapshotError);
}

TEST_CASE("a log that begins within a chunk and reaches over others is loaded as it was saved") {
  struct Case {
    std::int64_t frame_bytes, num_frames_hint, num_frames;
  };
  constexpr std::int64_t num_dropped = 3;
  for (const Case& one : {Case{1000, 64, 700}, Case{100'000, 4096, 70}}) {  // chunks of 4 frames; of 64, more than is read at a time
    PlainFrameLog saved(one.frame_bytes, one.num_frames_hint);
    for (std::int64_t i = 0; i < num_dropped + one.num_frames; ++i) {
      saved.append(filled(static_cast<std::size_t>(one.frame_bytes), static_cast<int>(i % 251)).data());
    }
    saved.drop_before(num_dropped);
    SnapshotWriter writer;
    saved.save(writer);
    writer.commit();
    const std::vector<Bytes> pieces = writer.take_pieces();
    SnapshotReader reader(std::vector<std::span<const std::byte>>(pieces.begin(), pieces.end()));
    PlainFrameLog loaded(one.frame_bytes, one.num_frames_hint);
    loaded.restart_at(num_dropped);
    loaded.load(reader, one.num_frames);
    REQUIRE(loaded.begin() == num_dropped);
    REQUIRE(loaded.end() == num_dropped + one.num_frames);
    for (std::int64_t i = num_dropped; i < loaded.end(); ++i) {
      CHECK(std::equal(loaded[i], loaded[i] + one.frame_bytes, saved[i]));
    }
  }
}
