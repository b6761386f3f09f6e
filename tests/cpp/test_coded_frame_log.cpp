#include "mujigae/frames/coded_frame_log.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "mujigae/storage/crc32.hpp"
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

// Such a log in a file, and a later process that finds it. Its addresses are a plain log behind the chunks, in one chunk of 512.
class InFile {
 public:
  static constexpr std::int64_t kFrameBytes = 1100, kMaxFrames = 100, kEnd = 90;

  InFile() : frames_(1, kFrameBytes) {
    file_->map_states(1);
    CodedFrameLog log(kFrameBytes, 10, 4, kMaxFrames);
    part_bytes_ = log.file_bytes(kMaxFrames);
    part_ = file_->map_part(part_bytes_, true);
    log.put_in(*file_, part_, kMaxFrames);
    for (std::int64_t i = 0; i < kEnd; ++i) append(log);
    content_.assign(part_, part_ + part_bytes_);
  }

  // What a log that adopts the frames from `begin` on, after `change`, holds.
  struct Found {
    bool is_adopted;
    std::unique_ptr<CodedFrameLog> log;
  };
  template <class Change>
  Found find(std::int64_t begin, const Change& change, std::int64_t end = kEnd) {
    std::copy(content_.begin(), content_.end(), part_);
    change();
    auto log = std::make_unique<CodedFrameLog>(kFrameBytes, 10, 4, kMaxFrames);
    log->put_in(*file_, part_, kMaxFrames);
    const bool is_adopted = log->adopt(begin, end);
    return {is_adopted, std::move(log)};
  }

  std::int64_t address(std::int64_t position) const {
    std::int64_t address;
    std::memcpy(&address, addresses() + 8 * position, sizeof address);
    return address;
  }
  void set_address(std::int64_t position, std::int64_t address) {
    std::memcpy(addresses() + 8 * position, &address, sizeof address);
    const std::uint32_t sum = checksum(position, std::as_bytes(std::span(&address, 1)));
    std::memcpy(addresses() + 8 * 512 + 4 * position, &sum, sizeof sum);
  }
  std::byte* record(std::int64_t position) const {
    return part_ + (address(position) >> 32) * Chunks::slot_bytes(kChunkBytes) + (address(position) & 0xffffffff);
  }
  void set_record(std::int64_t position, const std::vector<int>& bytes) {
    std::byte* to = record(position);
    for (const int byte : bytes) *to++ = static_cast<std::byte>(byte);
    const std::uint32_t sum = checksum(position, {record(position), bytes.size()});
    std::memcpy(to, &sum, sizeof sum);
  }

  // Frames first ... last are as they were, and so are those that come after.
  void check_goes_on(CodedFrameLog& log, std::int64_t first) {
    log.drop_before(first);
    for (int i = 0; i < 5; ++i) append(log);
    check_reads(log, held_);
  }

  static constexpr std::int64_t kChunkBytes = 4 * (2 * (kFrameBytes + 10) + 4);

 private:
  static std::uint32_t checksum(std::int64_t position, std::span<const std::byte> bytes) {
    return crc32(bytes, crc32(std::as_bytes(std::span(&position, 1))));
  }
  std::byte* addresses() const { return part_ + part_bytes_ - PlainFrameLog(8, kMaxFrames).file_bytes(kMaxFrames + 32); }
  void append(CodedFrameLog& log) {
    const Bytes& frame = frames_.next();
    held_[log.append(frame.data())] = frame;
  }

  TemporaryFolder folder_;
  std::unique_ptr<MappedFile> file_ = MappedFile::create(folder_ / "file", "");
  std::int64_t part_bytes_ = 0;
  std::byte* part_ = nullptr;
  Bytes content_;
  Frames frames_;
  Held held_;
};

// Parts of one byte: as the base; raw, of no bytes; none. And one of three with a token for five values that are not there.
constexpr int kUnchanged = 2, kEmpty = 0, kNoForm = 3, kFiveMissing = 2 << 2 | 2;

bool can_read(const CodedFrameLog& log, std::int64_t position, std::int64_t count, const std::byte* before = nullptr) {
  Bytes out(static_cast<std::size_t>(count * log.frame_bytes()));
  try {
    log.read(position, count, out.data(), before);
    return true;
  } catch (const std::logic_error&) {
    return false;
  }
}

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

TEST_CASE("a log that is emptied where a group of 32 ends goes on") {
  Filled filled(300);
  filled.append(64);
  filled.log.drop_before(64);
  CHECK(filled.log.begin() == 64);
  filled.append(40);
  check_reads(filled.log, filled.held);
}

TEST_CASE("an empty log is an empty section") {
  SnapshotWriter writer;
  CodedFrameLog(1500, 10, 4, 100).save(writer);
  writer.commit();
  SnapshotReader reader{std::span(writer.bytes())};
  CodedFrameLog loaded(1500, 10, 4, 100);
  loaded.load(reader, 0);
  CHECK(loaded.end() == 0);
}

TEST_CASE("in a file, a log is found as it was and goes on, wherever it begins") {
  InFile in_file;
  for (const std::int64_t begin : {0, 1, 31, 32, 70, 88}) {
    const auto found = in_file.find(begin, [] {});
    REQUIRE(found.is_adopted);
    CHECK(found.log->begin() == begin);
    CHECK(found.log->first_intact() <= begin);
    in_file.check_goes_on(*found.log, begin);
  }
}

TEST_CASE("a record or an address that is damaged costs its group of 32 and those before") {
  InFile in_file;
  for (std::int64_t position = 0; position < InFile::kEnd; ++position) {
    CAPTURE(position);
    const std::int64_t first = std::min((position / 32 + 1) * 32, InFile::kEnd);
    const std::vector<std::function<void()>> damages = {[&] { in_file.record(position)[0] ^= std::byte{0x40}; },
                                                        [&] { in_file.record(position)[1] ^= std::byte{1}; },
                                                        [&] { in_file.set_address(position, in_file.address(position) + 1); }};
    for (const auto& damage : damages) {
      const auto found = in_file.find(0, damage);
      REQUIRE(found.is_adopted);
      CHECK(found.log->first_intact() == first);
      if (first < InFile::kEnd) in_file.check_goes_on(*found.log, first);
    }
  }
}

TEST_CASE("an address beyond the chunks is refused or is damage, and so are more frames than have a place") {
  InFile in_file;
  const std::int64_t far = std::int64_t{1} << 50, last = InFile::kEnd - 1;
  const std::int64_t chunk = in_file.address(40) >> 32 << 32, no_room = chunk + InFile::kChunkBytes - 2;
  for (const std::int64_t wrong : {std::int64_t{-1}, far, chunk + InFile::kChunkBytes, chunk + InFile::kChunkBytes + 1, no_room}) {
    const auto found = in_file.find(0, [&] { in_file.set_address(40, wrong); });
    REQUIRE(found.is_adopted);
    CHECK(found.log->first_intact() == 64);
  }
  CHECK_FALSE(in_file.find(0, [&] { in_file.set_address(0, -1); }).is_adopted);
  CHECK_FALSE(in_file.find(0, [&] { in_file.set_address(0, far); }).is_adopted);
  CHECK_FALSE(in_file.find(0, [&] { in_file.set_address(last, far); }).is_adopted);
  CHECK_FALSE(in_file.find(0, [&] { in_file.set_address(last, -1); }).is_adopted);
  CHECK_FALSE(in_file.find(0, [] {}, far).is_adopted);
}

TEST_CASE("a frame that no encoder wrote, under a right checksum, is an error when it is read") {
  InFile in_file;
  struct Forgery {
    std::int64_t position;
    std::vector<int> record;
    std::int64_t unreadable;  // a frame that cannot be read
  };
  for (const Forgery& forgery : std::vector<Forgery>{{35, {kEmpty}, 35},
                                                     {35, {kEmpty}, 36},
                                                     {40, {kUnchanged, kEmpty}, 40},
                                                     {37, {kFiveMissing, 0, 5}, 37},
                                                     {32, {kEmpty}, 32},
                                                     {32, {kEmpty}, 40},
                                                     {32, {kUnchanged, kUnchanged}, 32}}) {
    CAPTURE(forgery.position);
    CAPTURE(forgery.unreadable);
    const auto found = in_file.find(0, [&] { in_file.set_record(forgery.position, forgery.record); });
    REQUIRE(found.is_adopted);
    CHECK(found.log->first_intact() == 0);
    CHECK_FALSE(can_read(*found.log, forgery.unreadable, 1));
    CHECK(can_read(*found.log, forgery.position - 1, 1));
    CHECK(can_read(*found.log, 64, 20));
  }
  const auto found = in_file.find(0, [&] { in_file.set_record(35, {kEmpty}); });
  const Bytes before(InFile::kFrameBytes);
  CHECK_FALSE(can_read(*found.log, 34, 2));
  CHECK_FALSE(can_read(*found.log, 35, 1, before.data()));
}

TEST_CASE("a record without an entry where one belongs, and newest frames that cannot be decoded, are damage") {
  InFile in_file;
  CHECK(in_file.find(0, [&] { in_file.set_record(40, {kUnchanged, kNoForm}); }).log->first_intact() == 64);
  CHECK(in_file.find(0, [&] { in_file.set_record(40, {kNoForm}); }).log->first_intact() == 64);
  for (const std::int64_t position : {64, 86, 89}) {
    CHECK(in_file.find(0, [&] { in_file.set_record(position, {kEmpty}); }).log->first_intact() == InFile::kEnd);
  }
}
