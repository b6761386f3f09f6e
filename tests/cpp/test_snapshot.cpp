#include "mujigae/replay/snapshot.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"
#include "temporary_folder.hpp"

namespace {

// What the next read and the next write come to, once each.
enum class Outcome { kComplete, kInterrupted, kOneByte, kFailed, kNothing };
Outcome next_read = Outcome::kComplete, next_write = Outcome::kComplete;

template <class Call>
ssize_t come_to(Outcome& next, std::size_t bytes, const Call& call) {
  const Outcome outcome = std::exchange(next, Outcome::kComplete);
  if (outcome == Outcome::kNothing) return 0;
  if (outcome == Outcome::kComplete || outcome == Outcome::kOneByte) return call(outcome == Outcome::kComplete ? bytes : 1);
  errno = outcome == Outcome::kFailed ? EIO : EINTR;
  return -1;
}

}  // namespace

// In place of the C library's.
extern "C" ssize_t pread(int file, void* out, std::size_t bytes, off_t at) {
  return come_to(next_read, bytes, [=](std::size_t count) { return ::syscall(SYS_pread64, file, out, count, at); });
}
extern "C" ssize_t write(int file, const void* from, std::size_t bytes) {
  return come_to(next_write, bytes, [=](std::size_t count) { return ::syscall(SYS_write, file, from, count); });
}

using namespace mujigae;

namespace {

constexpr std::uint32_t kNumbers = section_tag("NUMB"), kText = section_tag("TEXT");
using Prioritized = BufferOf<Proportional>;
const std::vector<ObsLayout> kLayouts = {{2, 3}, {1, 1}};

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

void write_example(const std::string& path) {
  SnapshotWriter writer(path);
  const std::vector<std::int64_t> numbers = {1, -2, INT64_MAX};
  writer.section(kNumbers, std::span<const std::int64_t>(numbers));
  writer.section(kText, std::span<const char>(std::string("rainbow")));
  writer.commit();
}

void read_example(const std::string& path) {
  SnapshotReader reader(path);
  const auto numbers = reader.section<std::int64_t>(kNumbers, 3);
  const auto text = reader.section<char>(kText);
  reader.finish();
  CHECK(numbers == std::vector<std::int64_t>{1, -2, INT64_MAX});
  CHECK(std::string(text.begin(), text.end()) == "rainbow");
}

void fill(Prioritized& buffer, int num_steps, std::uint64_t seed) {
  std::vector<RollingEnvironment> environments;
  for (std::uint64_t e = 0; e < 2; ++e) environments.emplace_back(seed + e, kLayouts);
  for (int t = 0; t < num_steps; ++t) buffer.add(OwnedSteps(1, {0, 1}, {environments[0].step(t), environments[1].step(t)}).view());
}

OwnedBatch draw(Prioritized& buffer) {
  OwnedBatch batch(8, kLayouts);
  buffer.sample(0.4, batch.view());
  return batch;
}

Prioritized empty_buffer(Philox::Key key = {11, 22}) {
  BufferSettings settings = settings_of(6, 2, 2, kLayouts);
  settings.key = key;
  return Prioritized(settings, {});
}

}  // namespace

TEST_CASE("what was written is read, and the folder holds that one file") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  read_example(folder / "file");
  CHECK(folder.num_files() == 1);
}

TEST_CASE("a section larger than every buffer comes back") {
  const TemporaryFolder folder;
  std::vector<std::uint32_t> values(1000003);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint32_t>(i * 2654435761U);
  SnapshotWriter writer(folder / "file");
  writer.section(kNumbers, std::span<const std::uint32_t>(values));
  writer.commit();
  SnapshotReader reader(folder / "file");
  CHECK(reader.section<std::uint32_t>(kNumbers) == values);
  reader.finish();
}

TEST_CASE("a writer that goes without commit leaves the old file and nothing else") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  {
    SnapshotWriter writer(folder / "file");
    writer.section(kNumbers, std::span<const std::int64_t>(std::vector<std::int64_t>(300000, 7)));
  }
  read_example(folder / "file");
  CHECK(folder.num_files() == 1);
}

TEST_CASE("two writers to one path do not mix: the later commit wins") {
  const TemporaryFolder folder;
  SnapshotWriter first(folder / "file"), second(folder / "file");
  first.section(kText, std::span<const char>(std::string("first")));
  second.section(kText, std::span<const char>(std::string("second")));
  first.commit();
  const std::vector<char> text = SnapshotReader(folder / "file").section<char>(kText);
  CHECK(std::string(text.begin(), text.end()) == "first");
  second.commit();
  const std::vector<char> later = SnapshotReader(folder / "file").section<char>(kText);
  CHECK(std::string(later.begin(), later.end()) == "second");
  CHECK(folder.num_files() == 1);
}

TEST_CASE("each flipped bit is a SnapshotError") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  const std::string good = read_file(folder / "file");
  REQUIRE(good.size() > 50);
  write_file(folder / "bad", good);
  for (std::size_t i = 0; i < good.size() * 8; ++i) {
    CAPTURE(i);
    flip_bits(folder / "bad", i / 8, 1 << i % 8);
    REQUIRE_THROWS_AS(read_example(folder / "bad"), SnapshotError);
    flip_bits(folder / "bad", i / 8, 1 << i % 8);
  }
  read_example(folder / "bad");
}

TEST_CASE("a file cut off anywhere, and one with a byte more, is a SnapshotError") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  const std::string good = read_file(folder / "file");
  write_file(folder / "bad", good);
  for (std::size_t size = good.size(); size-- > 0;) {
    std::filesystem::resize_file(folder / "bad", size);
    REQUIRE_THROWS_AS(read_example(folder / "bad"), SnapshotError);
  }
  write_file(folder / "bad", good + '\0');
  CHECK_THROWS_AS(read_example(folder / "bad"), SnapshotError);
}

TEST_CASE("another section, another number of values and another size of value are SnapshotErrors") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  CHECK_THROWS_WITH_AS(SnapshotReader(folder / "file").begin_section(kText), doctest::Contains("NUMB"), SnapshotError);
  CHECK_THROWS_AS(SnapshotReader(folder / "file").section<std::int64_t>(kNumbers, 4), SnapshotError);
  SnapshotReader reader(folder / "file");
  reader.section<std::int64_t>(kNumbers);
  CHECK_THROWS_AS(reader.section<std::int64_t>(kText), SnapshotError);  // 7 bytes
}

TEST_CASE("a section longer or shorter than announced is a mistake of ours") {
  const TemporaryFolder folder;
  SnapshotWriter writer(folder / "file");
  writer.begin_section(kText, 3);
  CHECK_THROWS_AS(writer.write(bytes_of("four")), std::logic_error);
  CHECK_THROWS_AS(writer.end_section(), std::logic_error);
}

TEST_CASE("a missing folder, a missing file and a folder in the way are system errors that leave nothing behind") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(SnapshotWriter(folder / "missing/file"), std::system_error);
  CHECK_THROWS_AS(SnapshotReader(folder / "missing"), std::system_error);
  std::filesystem::create_directory(folder / "taken");
  CHECK_THROWS_AS(write_example(folder / "taken"), std::system_error);
  CHECK(folder.num_files() == 1);
  CHECK_THROWS_AS(SnapshotReader(folder / "taken"), SnapshotError);
}

TEST_CASE("a loaded buffer goes on as the saved one would have") {
  const TemporaryFolder folder;
  for (const int num_steps : {0, 1, 2, 30}) {
    Prioritized buffer = empty_buffer();
    fill(buffer, num_steps, 5);
    if (buffer.size() > 0) {
      const OwnedBatch batch = draw(buffer);
      buffer.update_priorities(batch.key, std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8});
    }
    buffer.set_alpha(0.5);
    buffer.set_gamma(0.8);
    buffer.save(folder / "file", "how to make it");
    CHECK(read_snapshot_meta(folder / "file") == "how to make it");
    Prioritized fresh = empty_buffer({77, 88});
    fresh.load(folder / "file");
    CHECK(fresh.why_invalid() == "");
    CHECK(fresh.size() == buffer.size());
    CHECK(fresh.num_added() == buffer.num_added());
    CHECK(fresh.num_silent_boundaries() == buffer.num_silent_boundaries());
    CHECK(fresh.max_priority() == buffer.max_priority());
    CHECK(fresh.alpha() == 0.5);
    CHECK(fresh.gamma() == 0.8);
    for (std::uint64_t round = 0; round < 5; ++round) {
      if (buffer.size() > 0) REQUIRE(draw(buffer) == draw(fresh));
      fill(buffer, 7, 100 + round);
      fill(fresh, 7, 100 + round);
      REQUIRE(draw(buffer) == draw(fresh));
    }
    buffer.save(folder / "one", "");
    fresh.save(folder / "other", "");
    CHECK(read_file(folder / "one") == read_file(folder / "other"));
  }
}

TEST_CASE("a cleared buffer comes back with its generations: keys from before stay stale") {
  const TemporaryFolder folder;
  Prioritized buffer = empty_buffer();
  fill(buffer, 10, 1);
  const OwnedBatch batch = draw(buffer);
  buffer.clear();
  buffer.save(folder / "file", "");
  Prioritized loaded = empty_buffer();
  loaded.load(folder / "file");
  CHECK(loaded.size() == 0);
  CHECK(loaded.update_priorities(batch.key, std::vector<double>(8, 1.0)) == 0);
}

TEST_CASE("each flipped byte of a saved buffer is a SnapshotError, and so is each length it is cut to") {
  const TemporaryFolder folder;
  Prioritized buffer = empty_buffer();
  fill(buffer, 20, 3);
  buffer.save(folder / "file", "meta");
  const std::string good = read_file(folder / "file");
  write_file(folder / "bad", good);
  for (std::size_t i = 0; i < good.size(); ++i) {
    CAPTURE(i);
    flip_bits(folder / "bad", i, 0x5a);
    REQUIRE_THROWS_AS(empty_buffer().load(folder / "bad"), SnapshotError);
    flip_bits(folder / "bad", i, 0x5a);
  }
  CHECK_NOTHROW(empty_buffer().load(folder / "bad"));
  for (std::size_t size = good.size(); size-- > 0;) {
    CAPTURE(size);
    std::filesystem::resize_file(folder / "bad", size);
    REQUIRE_THROWS_AS(empty_buffer().load(folder / "bad"), SnapshotError);
  }
}

TEST_CASE("a snapshot of a buffer of another shape is a SnapshotError") {
  const TemporaryFolder folder;
  Prioritized buffer = empty_buffer();
  fill(buffer, 20, 4);
  buffer.save(folder / "file", "");
  for (const BufferSettings& other : {settings_of(6, 3, 2, kLayouts), settings_of(2, 2, 1, kLayouts), settings_of(6, 2, 2, {{2, 3}}),
                                      settings_of(6, 2, 2, {{2, 2}, {1, 1}}), settings_of(6, 2, 2, {{3, 3}, {1, 1}})}) {
    CHECK_THROWS_AS(Prioritized(other, {}).load(folder / "file"), SnapshotError);
  }
  CHECK_THROWS_AS(BufferOf<Uniform>(settings_of(6, 2, 2, kLayouts), {}).load(folder / "file"), SnapshotError);
}

TEST_CASE("a uniform buffer goes on as the saved one would have") {
  const TemporaryFolder folder;
  const BufferSettings settings = settings_of(6, 2, 2, kLayouts);
  BufferOf<Uniform> buffer(settings, {}), loaded(settings, {});
  std::vector<RollingEnvironment> environments{{1, kLayouts}, {2, kLayouts}};
  for (int t = 0; t < 20; ++t) buffer.add(OwnedSteps(1, {0, 1}, {environments[0].step(t), environments[1].step(t)}).view());
  buffer.save(folder / "file", "uniform");
  loaded.load(folder / "file");
  for (int round = 0; round < 5; ++round) {
    OwnedBatch one(8, kLayouts), other(8, kLayouts);
    buffer.sample(1.0, one.view());
    loaded.sample(1.0, other.view());
    REQUIRE(one == other);
  }
  CHECK(loaded.why_invalid() == "");
}

TEST_CASE("a file of a later version is refused by its number") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  std::string content = read_file(folder / "file");
  content[8] = 99;
  const std::uint32_t crc = crc32(bytes_of(content).first(12));
  content.replace(12, 4, reinterpret_cast<const char*>(&crc), 4);
  write_file(folder / "file", content);
  CHECK_THROWS_WITH_AS(SnapshotReader(folder / "file"), doctest::Contains("format version 99"), SnapshotError);
}

TEST_CASE("a payload that is read too far or not to its end is a SnapshotError") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  std::vector<std::byte> bytes(25);
  SnapshotReader far(folder / "file"), near(folder / "file");
  far.begin_section(kNumbers);
  CHECK_THROWS_AS(far.read(bytes), SnapshotError);
  near.begin_section(kNumbers);
  near.read(std::span(bytes).first(8));
  CHECK_THROWS_AS(near.end_section(), SnapshotError);
}

TEST_CASE("a name without a folder is a file of the working folder") {
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder / "");
  write_example("file");
  read_example("file");
  std::filesystem::current_path(before);
  read_example(folder / "file");
}

// A limit on the size of files stands in for a disk that is full.
TEST_CASE("a file that cannot be written to its end is a system error that leaves the old file") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit small{40, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  CHECK_THROWS_WITH_AS(write_example(folder / "file"), doctest::Contains("cannot write"), std::system_error);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::signal(SIGXFSZ, before);
  read_example(folder / "file");
  CHECK(folder.num_files() == 1);
}

TEST_CASE("a read or a write that is interrupted or moves less than it should goes on") {
  const TemporaryFolder folder;
  for (const Outcome outcome : {Outcome::kInterrupted, Outcome::kOneByte}) {
    next_write = outcome;
    write_example(folder / "file");
    CHECK(next_write == Outcome::kComplete);
    next_read = outcome;
    read_example(folder / "file");
    CHECK(next_read == Outcome::kComplete);
  }
}

TEST_CASE("a read that fails is a system error, and a file that was cut off since is a SnapshotError") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  next_read = Outcome::kFailed;
  CHECK_THROWS_WITH_AS(read_example(folder / "file"), doctest::Contains("cannot read"), std::system_error);
  next_read = Outcome::kNothing;
  CHECK_THROWS_WITH_AS(read_example(folder / "file"), doctest::Contains("the file ends too early"), SnapshotError);
  CHECK_THROWS_WITH_AS(SnapshotReader(-1, "a file that is not open"), doctest::Contains("cannot open"), std::system_error);
}

TEST_CASE("a write that fails leaves the old file") {
  const TemporaryFolder folder;
  write_example(folder / "file");
  next_write = Outcome::kFailed;
  CHECK_THROWS_WITH_AS(write_example(folder / "file"), doctest::Contains("cannot write"), std::system_error);
  read_example(folder / "file");
  CHECK(folder.num_files() == 1);
}
