#include "mujigae/coded_frame_log.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "temporary_folder.hpp"

using namespace mujigae;

namespace {

using Bytes = std::vector<std::byte>;
using Random = std::mt19937_64;

// A stream of frames as games have them: small changes, cuts, and now and then noise.
class Frames {
 public:
  Frames(std::uint64_t seed, std::int64_t frame_bytes) : random_(seed), frame_(static_cast<std::size_t>(frame_bytes)) {}

  const Bytes& next() {
    const std::uint64_t kind = random_() % 40;
    if (kind == 0) std::generate(frame_.begin(), frame_.end(), [this] { return static_cast<std::byte>(random_()); });
    if (kind == 1) std::fill(frame_.begin(), frame_.end(), static_cast<std::byte>(random_()));
    for (std::uint64_t i = random_() % 6; i > 0; --i) frame_[random_() % frame_.size()] = static_cast<std::byte>(random_());
    return frame_;
  }

 private:
  Random random_;
  Bytes frame_;
};

using Held = std::map<std::int64_t, Bytes>;

// Every run of frames that a window could be, with the frame before it and without.
void check_reads(const CodedFrameLog& log, const Held& held) {
  std::int64_t num_wrong = 0;
  const auto bytes = static_cast<std::size_t>(log.frame_bytes());
  for (std::int64_t position = log.begin(); position < log.end(); ++position) {
    for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, std::min<std::int64_t>(7, log.end() - position)}) {
      Bytes out(bytes * static_cast<std::size_t>(count)), expected;
      for (std::int64_t i = 0; i < count; ++i) expected.insert(expected.end(), held.at(position + i).begin(), held.at(position + i).end());
      log.read(position, count, out.data(), nullptr);
      num_wrong += out != expected;
      if (position == log.begin()) continue;
      log.read(position, count, out.data(), held.at(position - 1).data());
      num_wrong += out != expected;
    }
  }
  CHECK(num_wrong == 0);
}

struct Filled {
  explicit Filled(std::int64_t frame_bytes, std::int64_t hint = 100) : log(frame_bytes, 10, 4, hint), frames(1, frame_bytes) {}

  void append(std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const Bytes& frame = frames.next();
      held[log.append(frame.data())] = frame;
    }
  }
  CodedFrameLog log;
  Frames frames;
  Held held;
};

}  // namespace

TEST_CASE("any run of frames can be read, whatever was dropped before it") {
  for (const std::int64_t frame_bytes : {1, 5, 100, 3000}) {
    CAPTURE(frame_bytes);
    Filled filled(frame_bytes);
    for (int round = 0; round < 12; ++round) {
      filled.append(29);
      filled.log.drop_before(filled.log.end() - 70);
      check_reads(filled.log, filled.held);
      for (std::int64_t age = 1; age <= 4; ++age) {
        const Bytes& frame = filled.held.at(filled.log.end() - age);
        CHECK(std::equal(frame.begin(), frame.end(), filled.log.recent(filled.log.end() - age)));
      }
    }
  }
}

TEST_CASE("a log may begin anywhere, and begin anew") {
  for (const std::int64_t begin : {0, 1, 7, 8, 31, 32, 33, 1000003}) {
    Filled filled(50);
    filled.append(40);
    filled.log.restart_at(begin);
    CHECK(filled.log.begin() == begin);
    filled.append(90);
    check_reads(filled.log, filled.held);
    filled.log.drop_before(begin + 3);
    check_reads(filled.log, filled.held);
    filled.log.clear();
    CHECK(filled.log.begin() == filled.log.end());
    CHECK(filled.log.begin() >= begin + 90);
    filled.append(40);
    check_reads(filled.log, filled.held);
  }
}

TEST_CASE("after reserve, that many appends allocate no chunk") {
  Filled filled(500, 4000);
  filled.append(3);
  for (const std::int64_t count : {1, 5, 40, 0, 300}) {
    filled.log.reserve(count);
    const std::int64_t before = filled.log.nbytes();
    filled.append(count);
    CHECK(filled.log.nbytes() == before);
  }
}

TEST_CASE("memory is that of what is held") {
  Filled filled(4000, 1000);
  filled.append(1000);
  const std::int64_t full = filled.log.nbytes();
  CHECK(full < 1000 * 4000 / 5);
  filled.append(5000);
  filled.log.drop_before(filled.log.end() - 1000);
  CHECK(filled.log.nbytes() < full * 3 / 2);
  filled.log.drop_before(filled.log.end());
  CHECK(filled.log.nbytes() < full / 3);
  filled.append(100);
  filled.log.drop_before(filled.log.end() - 30);
  check_reads(filled.log, filled.held);
}

TEST_CASE("noise takes at most a hundredth more than its own size") {
  Random random(9);
  for (const std::int64_t frame_bytes : {1024, 7056}) {
    CodedFrameLog log(frame_bytes, 84, 4, 20000);
    Bytes frame(static_cast<std::size_t>(frame_bytes));
    const std::int64_t before = log.nbytes();
    for (int i = 0; i < 3000; ++i) {
      std::generate(frame.begin(), frame.end(), [&] { return static_cast<std::byte>(random()); });
      log.append(frame.data());
    }
    const std::int64_t open_chunk = 40 * 2 * frame_bytes;
    CHECK(log.nbytes() - before < 3000 * frame_bytes * 101 / 100 + open_chunk);
  }
}

TEST_CASE("a snapshot gives the same frames and is written the same again") {
  for (const std::int64_t begin : {0, 1, 37}) {
    Filled filled(1500);
    filled.append(150);
    filled.log.drop_before(begin);
    SnapshotWriter writer;
    filled.log.save(writer);
    writer.commit();
    CHECK(writer.bytes().size() < 150 * 1500 / 3);
    SnapshotReader reader{std::span(writer.bytes())};
    CodedFrameLog loaded(1500, 10, 4, 100);
    loaded.restart_at(begin);
    loaded.load(reader, 150 - begin);
    check_reads(loaded, filled.held);
    SnapshotWriter again;
    loaded.save(again);
    again.commit();
    CHECK(again.bytes() == writer.bytes());
    SnapshotReader too_many{std::span(writer.bytes())};
    CodedFrameLog small(1500, 10, 4, 100);
    CHECK_THROWS_AS(small.load(too_many, 149 - begin), SnapshotError);
  }
}
