#include "mujigae/storage/mapped_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"
#include "refusal.hpp"
#include "snapshot_sections.hpp"
#include "temporary_folder.hpp"

namespace {

int num_reservations_left = -1;  // -1: the disk never fills up
bool is_interrupted = false;      // the next reservation, once

}  // namespace

// In place of the C library's: a disk that is full when the test says so.
extern "C" int posix_fallocate(int file, off_t offset, off_t bytes) {
  if (std::exchange(is_interrupted, false)) return EINTR;
  if (num_reservations_left == 0) return ENOSPC;
  if (num_reservations_left > 0) --num_reservations_left;
  return ::syscall(SYS_fallocate, file, 0, offset, bytes) == 0 ? 0 : errno;
}

using namespace mujigae;

namespace {

using Prioritized = BufferOf<Proportional>;
using State = std::vector<std::int64_t>;
const std::vector<ObsLayout> kLayouts = {{300, 3}, {8, 1}}, kCoded = {{1100, 3}, {8, 1}};

BufferSettings settings(bool compress = false) {
  BufferSettings settings = settings_of(30, 2, 2, compress ? kCoded : kLayouts);
  settings.compress = compress;
  return settings;
}

std::unique_ptr<MappedFile> create(const std::string& path, const State& words) {
  auto file = MappedFile::create(path, "meta");
  file->map_states(static_cast<std::int64_t>(words.size()));
  file->map_part(100000, true)[99999] = std::byte{7};
  file->publish(words);
  return file;
}

std::unique_ptr<MappedFile> reopen(const std::string& path, std::int64_t num_words) {
  auto file = MappedFile::open(path, "meta");
  file->map_states(num_words);
  return file;
}

template <class S = Proportional>
std::unique_ptr<BufferOf<S>> make(const std::string& path, bool is_new, bool compress = false) {
  auto file = is_new ? MappedFile::create(path, "meta") : MappedFile::open(path, "meta");
  return std::make_unique<BufferOf<S>>(settings(compress), typename S::Settings{}, std::move(file));
}

struct Feed {  // the same transitions for several buffers
  std::vector<RollingEnvironment> environments;
  std::int64_t action = 0;

  explicit Feed(const std::vector<ObsLayout>& layouts = kLayouts) : environments{{1, layouts}, {2, layouts}} {}

  OwnedSteps next() {
    ++action;
    return OwnedSteps(1, {0, 1}, {environments[0].step(action), environments[1].step(-action)});
  }
};

template <class S>
OwnedBatch draw(BufferOf<S>& buffer) {
  OwnedBatch batch(8, buffer.obs());
  buffer.sample(0.4, batch.view());
  return batch;
}

template <class S>
void check_like_memory(bool compress) {
  const TemporaryFolder folder;
  Feed feed(settings(compress).obs);
  BufferOf<S> memory(settings(compress), {});
  auto buffer = make<S>(folder / "file", true, compress);
  for (int i = 0; i < 300; ++i) {
    const OwnedSteps steps = feed.next();
    memory.add(steps.view());
    buffer->add(steps.view());
    if (i % 40 == 17) {
      buffer.reset();
      buffer = make<S>(folder / "file", false, compress);
    }
    if (i % 7 == 3) {
      const OwnedBatch batch = draw(memory);
      REQUIRE(draw(*buffer) == batch);
      if constexpr (kHasPriorities<S>) {
        const std::vector<double> priorities(8, i * 0.1);
        REQUIRE(memory.update_priorities(batch.key, priorities) == buffer->update_priorities(batch.key, priorities));
      }
    }
    if (i == 150) {
      memory.clear();
      buffer->clear();
    }
    REQUIRE(buffer->why_invalid() == "");
  }
  memory.save(folder / "one", "");
  buffer->save(folder / "other", "");
  CHECK(read_file(folder / "one") == read_file(folder / "other"));
  CHECK(memory.to_pieces("").front().size() == read_file(folder / "one").size());
}

template <class S>
void check_at_any_moment(bool compress, int period) {
  const TemporaryFolder folder;
  Feed feed(settings(compress).obs);
  auto buffer = make<S>(folder / "file", true, compress);
  for (int i = 0; i < 120; ++i) {
    buffer->add(feed.next().view());
    if (i % 25 == 20) buffer->flush();
    if (i % period != 0) continue;
    write_file(folder / "copy", read_file(folder / "file"));  // as a kill would leave it
    auto found = make<S>(folder / "copy", false, compress);
    REQUIRE(found->why_invalid() == "");
    const int num_since = (i - 20) % 25;
    if (i < 20) REQUIRE(found->size() == 0);
    if (i >= 20) REQUIRE(found->size() >= 2 * (15 - num_since - 1));  // a row that waited at the flush may push one out as well
  }
}

constexpr std::size_t kFirstRecord = 65536, kRecordBytes = 1 << 14, kSecondRecord = kFirstRecord + kRecordBytes;

std::string refusal(const std::string& path, std::int64_t num_words = 1) {
  return refusal_of([&] { reopen(path, num_words)->read_state(); });
}

// The file with other sizes of parts in its header, under right checksums.
void write_sizes(const std::string& path, std::size_t part, std::int64_t bytes) {
  const std::string content = read_file(path);
  const auto all = std::as_bytes(std::span(content));
  const std::size_t header_bytes = kFileHead + 2 * (kSectionHead + kChecksum) + 4 + 16 * 8;  // META and LIVE
  const Bytes header = with_value(Bytes(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(header_bytes)), "LIVE", part, bytes);
  write_file(path, std::string(reinterpret_cast<const char*>(header.data()), header.size()) + content.substr(header.size()));
}

}  // namespace

TEST_CASE("a new file appears under its name when it is published, complete and without another file beside it") {
  const TemporaryFolder folder;
  auto file = create(folder / "file", {1, -2});
  CHECK(folder.num_files() == 1);
  CHECK(!file->is_new());
  CHECK(file->is_at(folder / "file"));
  CHECK(!file->is_at(folder / "other"));
  CHECK_THROWS_AS(MappedFile::create(folder / "file", "meta"), std::system_error);
  CHECK_THROWS_AS(MappedFile::open(folder / "file", "meta"), std::system_error);  // it is open
  file.reset();
  file = reopen(folder / "file", 2);
  CHECK(file->map_part(100000, true)[99999] == std::byte{7});
  CHECK(file->read_state().words == State{1, -2});
  CHECK(!file->read_state().is_closed);
}

TEST_CASE("a copy reads what the file holds, keeps its changes to itself, and may be opened beside others") {
  const TemporaryFolder folder;
  create(folder / "file", {1, -2})->flush(State{3, 4}, false);
  const std::string content = read_file(folder / "file");
  for (int round = 0; round < 2; ++round) {
    std::vector<std::unique_ptr<MappedFile>> copies;
    for (int i = 0; i < 2; ++i) {
      copies.push_back(MappedFile::open(folder / "file", "meta", MappedFile::Changes::kCopy));
      copies.back()->map_states(2);
      std::byte* part = copies.back()->map_part(100000, true);
      CHECK(part[99999] == std::byte{7});
      CHECK(copies.back()->read_state().words == State{3, 4});
      part[99999] = std::byte{9};
      copies.back()->release(part, 65536);
      copies.back()->reserve(part, 65536);
      copies.back()->flush(State{5, 6}, true);
      CHECK(copies.back()->read_state().words == State{5, 6});
    }
    CHECK_THROWS_AS(MappedFile::open(folder / "file", "meta"), std::system_error);
  }
  CHECK(read_file(folder / "file") == content);
  const auto file = reopen(folder / "file", 2);
  CHECK_THROWS_AS(MappedFile::open(folder / "file", "meta", MappedFile::Changes::kCopy), std::system_error);
}

TEST_CASE("a file that is not published leaves nothing") {
  const TemporaryFolder folder;
  MappedFile::create(folder / "file", "meta")->map_states(3);
  CHECK(folder.num_files() == 0);
}

TEST_CASE("while one record of the state is incomplete, the other is valid; a closed file has two that are alike") {
  const TemporaryFolder folder;
  auto file = create(folder / "file", {1});
  file->flush(State{2}, false);
  file->flush(State{3}, false);
  file.reset();
  const std::string content = read_file(folder / "file");
  const std::size_t first = 65536;
  for (const auto& [at, expected] : {std::pair<std::size_t, std::int64_t>{first + 16, 2}, {first + kRecordBytes + 16, 3}}) {
    flip_bits(folder / "file", at, 1);
    CHECK(reopen(folder / "file", 1)->read_state().words.front() == expected);
    flip_bits(folder / "file", at, 1);
  }
  reopen(folder / "file", 1)->flush(State{4}, true);
  for (const std::size_t at : {first + 16, first + kRecordBytes + 16}) {
    flip_bits(folder / "file", at, 1);
    CHECK(reopen(folder / "file", 1)->read_state().words.front() == 4);
    CHECK(reopen(folder / "file", 1)->read_state().is_closed);
    flip_bits(folder / "file", at, 1);
  }
  flip_bits(folder / "file", first + 16, 1);
  flip_bits(folder / "file", first + kRecordBytes + 16, 1);
  CHECK_THROWS_WITH_AS(reopen(folder / "file", 1)->read_state(), doctest::Contains("(at byte 65536)"), SnapshotError);
}

TEST_CASE("another description, another length and parts of other sizes are SnapshotErrors") {
  const TemporaryFolder folder;
  create(folder / "file", {1});
  CHECK_THROWS_AS(MappedFile::open(folder / "file", "other"), SnapshotError);
  CHECK_THROWS_AS(reopen(folder / "file", 3000), SnapshotError);
  CHECK_THROWS_AS(reopen(folder / "file", 1)->map_part(99999, true), SnapshotError);
  CHECK_THROWS_AS(MappedFile::open(folder / "missing", "meta"), std::system_error);
  std::filesystem::resize_file(folder / "file", std::filesystem::file_size(folder / "file") - 1);
  CHECK_THROWS_AS(MappedFile::open(folder / "file", "meta"), SnapshotError);
}

TEST_CASE("what is released reads as zeros, and may be reserved again") {
  const TemporaryFolder folder;
  auto file = MappedFile::create(folder / "file", "meta");
  file->map_states(1);
  std::byte* part = file->map_part(1 << 20, false);
  file->reserve(part + 8192, 4096);
  part[8192] = std::byte{1};
  file->release(part + 8192, 4096);
  CHECK(part[8192] == std::byte{0});
  file->reserve(part + 8192, 4096);
  part[8192] = std::byte{2};
  CHECK(part[8192] == std::byte{2});
}

TEST_CASE_TEMPLATE("a buffer in a file equals one in memory, closed and reopened at any step", S, Uniform, Proportional) {
  for (const bool compress : {false, true}) check_like_memory<S>(compress);
}

TEST_CASE_TEMPLATE("the file as it is at any moment is found to hold what was flushed and not evicted", S, Uniform, Proportional) {
  check_at_any_moment<S>(false, kHasPriorities<S> ? 1 : 6);
  check_at_any_moment<S>(true, 6);
}

TEST_CASE("a full disk is an error of add that changes nothing") {
  const TemporaryFolder folder;
  Feed feed;
  Prioritized memory(settings(), {});
  auto buffer = make(folder / "file", true);
  int num_refused = 0;
  for (int i = 0; i < 200; ++i) {
    const OwnedSteps steps = feed.next();
    num_reservations_left = i % 2;  // room for one more chunk, or none
    bool is_refused = false;
    try {
      buffer->add(steps.view());
    } catch (const std::system_error& error) {
      REQUIRE(error.code().value() == ENOSPC);
      is_refused = true;
    }
    num_reservations_left = -1;
    num_refused += is_refused;
    if (is_refused) buffer->add(steps.view());
    memory.add(steps.view());
    REQUIRE(buffer->why_invalid() == "");
  }
  CHECK(num_refused > 5);
  REQUIRE(draw(*buffer) == draw(memory));
  num_reservations_left = 2;
  CHECK_THROWS_AS(make(folder / "new", true), std::system_error);
  num_reservations_left = -1;
  CHECK(folder.num_files() == 1);
}

TEST_CASE("a part that was interrupted while it was reserved is reserved all the same") {
  const TemporaryFolder folder;
  auto file = MappedFile::create(folder / "file", "meta");
  file->map_states(1);
  is_interrupted = true;
  CHECK_NOTHROW(file->map_part(4096, true));
  CHECK_FALSE(is_interrupted);
}

TEST_CASE("sizes of parts that cannot be are refused") {
  const TemporaryFolder folder;
  create(folder / "file", {1});
  for (const std::int64_t bytes : {std::int64_t{-1}, INT64_MIN, INT64_MAX, (std::int64_t{1} << 62) - 1}) {
    write_sizes(folder / "file", 1, bytes);
    check_says(refusal(folder / "file"), "a part of an impossible size");
  }
  write_sizes(folder / "file", 1, 100000 + 65536);
  check_says(refusal(folder / "file"), "bytes, expected");
  write_sizes(folder / "file", 1, 100000);
  CHECK(refusal(folder / "file") == "");
}

TEST_CASE("a record of generation zero is none") {
  const TemporaryFolder folder;
  create(folder / "file", {1});
  for (const std::size_t record : {kFirstRecord, kSecondRecord}) {
    std::string content = read_file(folder / "file");
    std::memset(content.data() + record + 8, 0, 8);
    const std::uint32_t crc = crc32(std::as_bytes(std::span(content)).subspan(record + 4, 12 + 8));
    std::memcpy(content.data() + record, &crc, sizeof crc);
    write_file(folder / "file", content);
  }
  check_says(refusal(folder / "file"), "neither record of the buffer's state is intact (at byte 65536)");
}

TEST_CASE("a state of another length and more parts than a header has room for are mistakes of ours") {
  const TemporaryFolder folder;
  auto file = create(folder / "file", {1});
  CHECK_THROWS_AS(file->flush(State{1, 2}, false), std::logic_error);
  auto fresh = MappedFile::create(folder / "other", "meta");
  fresh->map_states(1);
  for (int i = 0; i < 15; ++i) fresh->map_part(1, false);
  CHECK_THROWS_AS(fresh->map_part(1, false), std::logic_error);
}

TEST_CASE("a file is where its name is until another takes it, and is no other file") {
  const TemporaryFolder folder;
  auto file = create(folder / "file", {1});
  write_file(folder / "other", "");
  CHECK_FALSE(file->is_at(folder / "other"));
  CHECK_FALSE(file->is_at("/proc/self/status"));  // on another disk
  std::filesystem::rename(folder / "other", folder / "file");
  CHECK_FALSE(file->is_at(folder / "file"));
  CHECK(file->read_state().words == State{1});
}

// A limit on the size of files stands in for a disk that is full.
TEST_CASE("a file that may not be as long as it must is an error of the system that leaves nothing") {
  const TemporaryFolder folder;
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit small{100000, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  CHECK_THROWS_WITH_AS(create(folder / "file", {1}), doctest::Contains("bytes long"), std::system_error);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::signal(SIGXFSZ, before);
  CHECK(folder.num_files() == 0);
}
