// What a ReplayBuffer believes of a file that it finds, and who may use it.
#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "counting_buffer.hpp"
#include "refusal.hpp"
#include "temporary_folder.hpp"
#include "mujigae/storage/crc32.hpp"
#include "mujigae/replay/replay_buffer.hpp"
#include "temporary_folder.hpp"

namespace {

bool is_disk_failing = false;

}  // namespace

// In place of the C library's: a disk that fails when the test says so.
extern "C" int msync(void* memory, std::size_t bytes, int flags) {
  if (!is_disk_failing) return static_cast<int>(::syscall(SYS_msync, memory, bytes, flags));
  errno = EIO;
  return -1;
}

using namespace mujigae;

namespace {

// Where the parts of such a small file begin: 64 KiB each, the header first.
enum Part : std::size_t { kStates = 1, kRecords = 2, kPriorities = 3 };
constexpr std::size_t kPartBytes = 1 << 16, kStateBytes = 1 << 14, kStateHead = 16;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::int64_t bits(double value) { return std::bit_cast<std::int64_t>(value); }

// Reward, stack, checksum, flags and action of a row.
std::size_t record_at(std::int64_t row) { return kRecords * kPartBytes + 32 * static_cast<std::size_t>(row % kCountingSlots); }

template <class S>
std::unique_ptr<BufferOf<S>> create(const std::string& path) {
  return std::make_unique<BufferOf<S>>(counting_settings(), typename S::Settings{}, MappedFile::create(path, "meta"));
}

template <class S>
std::unique_ptr<BufferOf<S>> reopen(const std::string& path) {
  return std::make_unique<BufferOf<S>>(counting_settings(), typename S::Settings{}, MappedFile::open(path, "meta"));
}

template <class T>
void write_at(const std::string& path, std::size_t at, T value) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(at));
  file.write(reinterpret_cast<const char*>(&value), sizeof value);
}

// Both records of the state say so, and their checksums are right.
template <class S>
void lie(const std::string& path, std::size_t word, std::int64_t value) {
  constexpr std::size_t kBytes = kStateHead + 8 * (kNumHeadWords + (kHasPriorities<S> ? 3 : 0));
  for (const std::size_t record : {kStates * kPartBytes, kStates * kPartBytes + kStateBytes}) {
    write_at(path, record + kStateHead + 8 * word, value);
    const std::string bytes = read_file(path).substr(record, kBytes);
    write_at(path, record, crc32(std::as_bytes(std::span(bytes).subspan(4))));
  }
}

template <class S>
std::string refusal(const std::string& path) {
  return refusal_of([&] { reopen<S>(path); });
}

struct Lie {
  std::size_t word;
  std::int64_t value;
  const char* refusal;
};

template <class S>
void check_refused(const std::vector<Lie>& lies) {
  const TemporaryFolder folder;
  count_on(*create<S>(folder / "file"));
  const std::string content = read_file(folder / "file");
  CHECK(refusal<S>(folder / "file") == "");
  for (const Lie& one : lies) {
    CAPTURE(one.word);
    CAPTURE(one.value);
    write_file(folder / "file", content);
    lie<S>(folder / "file", one.word, one.value);
    check_says(refusal<S>(folder / "file"), one.refusal);
  }
}

// In a forked process: 0 when every call is an error that says whose file it is, else which one is not.
int num_first_allowed(const std::vector<std::function<void()>>& calls) {
  for (std::size_t i = 0; i < calls.size(); ++i) {
    try {
      calls[i]();
      return static_cast<int>(i) + 1;
    } catch (const std::runtime_error& error) {
      if (std::string(error.what()).find("belongs to process") == std::string::npos) return static_cast<int>(i) + 1;
    }
  }
  return 0;
}

template <class S>
std::vector<std::function<void()>> calls_of(BufferOf<S>& buffer, OwnedBatch& batch, const std::string& path) {
  std::vector<std::function<void()>> calls = {
      [&] { count_on(buffer, 1); },
      [&] { buffer.sample(0.4, batch.view()); },
      [&] { buffer.sample(0.4, 4); },
      [&] {
        std::vector<NewFrames> new_frames;
        buffer.sample_mirrored(0.4, batch.view(), 100, new_frames);
      },
      [&] { buffer.restart_mirrors(); },
      [&] { buffer.clear(); },
      [&] { buffer.flush(); },
      [&] { buffer.set_n_step(1); },
      [&] { buffer.set_gamma(0.5); },
      [&buffer, path] { buffer.save(path, ""); },
      [&] { buffer.to_pieces(""); },
      [&] { buffer.why_invalid(); },
  };
  if constexpr (kHasPriorities<S>) {
    calls.push_back([&] { buffer.update_priorities(batch.key, std::vector<double>(batch.key.size(), 1.0)); });
    calls.push_back([&] { buffer.set_alpha(0.5); });
    calls.push_back([&] { buffer.set_beta(0.5); });
  }
  return calls;
}

}  // namespace

TEST_CASE_TEMPLATE("a state that cannot be is refused", S, Uniform, Proportional) {
  check_refused<S>({{kNumAdded, -1, "the buffer's state: a value of -1, expected 0 to"},
                    {kGamma, bits(kNan), "the buffer's state: a gamma outside 0 to 1"},
                    {kNext, 24, "the buffer's state: a value of 24, expected 15 to 23"},
                    {kNStep, 1, "lane 0 holds rows 15 to 20 in 8 slots"},
                    {kEpisodeStart, 17, "the open episode of lane 0 begins at row 17"},
                    {kLogEnd, 1000000, "more frames than have a place"},
                    {kNewest, 20, "a current stack that is not among the frames"},
                    {kDepth, 3, "a current stack that is too deep"}});
  if (!kHasPriorities<S>) return;
  check_refused<S>({{kNumHeadWords, bits(-1.0), "an alpha, beta or largest priority that is out of range"},
                    {kNumHeadWords + 1, bits(kNan), "an alpha, beta or largest priority that is out of range"},
                    {kNumHeadWords + 2, bits(0.0), "an alpha, beta or largest priority that is out of range"}});
}

TEST_CASE_TEMPLATE("a row that is damaged in a closed file is named with its byte", S, Uniform, Proportional) {
  const TemporaryFolder folder;
  count_on(*create<S>(folder / "file"));
  const std::size_t reward = record_at(16);
  flip_bits(folder / "file", reward, 1);
  check_says(refusal<S>(folder / "file"), "row 16 of lane 0 or a frame of it is damaged (at byte " + std::to_string(reward) + ")");
  flip_bits(folder / "file", reward, 1);
  const auto buffer = reopen<S>(folder / "file");
  CHECK(buffer->size() == 4);
  CHECK(num_wrong_rows(draw(*buffer)) == 0);
}

TEST_CASE_TEMPLATE("in a file that was not closed a lane goes on behind its last damaged row", S, Uniform, Proportional) {
  const TemporaryFolder folder;
  auto buffer = create<S>(folder / "file");
  count_on(*buffer);
  buffer->flush();
  for (std::int64_t row = 15; row < 20; ++row) {
    CAPTURE(row);
    write_file(folder / "copy", read_file(folder / "file"));  // as a kill would leave it
    flip_bits(folder / "copy", record_at(row) + 16, 1);
    const auto found = reopen<S>(folder / "copy");
    CHECK(found->why_invalid() == "");
    CHECK(found->size() == std::max<std::int64_t>(18 - row, 0));  // row 19 waits for its window
    if (found->size() > 0) CHECK(num_wrong_rows(draw(*found)) == 0);
    count_on(*found, 30);
    CHECK(found->size() == 4);
    CHECK(num_wrong_rows(draw(*found)) == 0);
  }
}

TEST_CASE("a priority in a file that is none becomes the largest") {
  const TemporaryFolder folder;
  for (const double damaged : {kNan, -1.0, std::numeric_limits<double>::infinity()}) {
    auto buffer = create<Proportional>(folder / "file");
    count_on(*buffer);
    const OwnedBatch batch = draw(*buffer);
    buffer->update_priorities(batch.key, std::vector<double>(batch.key.size(), 0.0));
    buffer->update_priorities(std::span(batch.key).first(1), std::vector<double>{5.0});
    buffer.reset();
    write_at(folder / "file", kPriorities * kPartBytes + 8 * (18 % kCountingSlots), damaged);
    buffer = reopen<Proportional>(folder / "file");
    CHECK(buffer->why_invalid() == "");
    CHECK(buffer->max_priority() == 5.0);
    const OwnedBatch after = draw(*buffer, 400);
    CHECK(std::count(after.action.begin(), after.action.end(), 18) > 100);  // the others have eps
    buffer.reset();
    std::filesystem::remove(folder / "file");
  }
}

TEST_CASE_TEMPLATE("a forked process may not use the buffer, and does not touch its file", S, Uniform, Proportional) {
  const TemporaryFolder folder;
  auto buffer = create<S>(folder / "file");
  count_on(*buffer);
  OwnedBatch batch = draw(*buffer);
  buffer->flush();
  const std::string flushed = read_file(folder / "file");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const int allowed = num_first_allowed(calls_of(*buffer, batch, folder / "copy"));
    buffer.reset();  // no flush
    std::exit(allowed);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(read_file(folder / "file") == flushed);
  CHECK(folder.num_files() == 1);
  CHECK(num_wrong_rows(draw(*buffer)) == 0);
}

TEST_CASE_TEMPLATE("a buffer in a file is saved elsewhere, and is not loaded into", S, Uniform, Proportional) {
  const TemporaryFolder folder;
  auto buffer = create<S>(folder / "file");
  count_on(*buffer);
  CHECK_THROWS_WITH_AS(buffer->save(folder / "file", ""), doctest::Contains("path: expected another file"), std::invalid_argument);
  buffer->save(folder / "snapshot", "");
  CHECK_THROWS_AS(buffer->load(folder / "snapshot"), std::logic_error);
  BufferOf<S> memory(counting_settings(), {});
  memory.load(folder / "snapshot");
  CHECK(draw(memory) == draw(*buffer));
  CHECK(buffer->nbytes() >= memory.nbytes());  // checksums, and complete slots for chunks of frames
}

TEST_CASE_TEMPLATE("a disk that fails to sync is an error of flush, not of closing: the last flush stands", S, Uniform, Proportional) {
  const TemporaryFolder folder;
  auto buffer = create<S>(folder / "file");
  count_on(*buffer, 18);
  buffer->flush();
  count_on(*buffer, 2);
  is_disk_failing = true;
  CHECK_THROWS_WITH_AS(buffer->flush(), doctest::Contains("cannot sync"), std::system_error);
  CHECK_NOTHROW(buffer.reset());
  CHECK_THROWS_AS(create<S>(folder / "new"), std::system_error);
  is_disk_failing = false;
  CHECK(folder.num_files() == 1);
  buffer = reopen<S>(folder / "file");
  CHECK(buffer->why_invalid() == "");
  CHECK(buffer->num_added() == 18);
  CHECK(buffer->size() == 4);
  CHECK(num_wrong_rows(draw(*buffer)) == 0);
}

TEST_CASE_TEMPLATE("flush is nothing to a buffer in memory", S, Uniform, Proportional) {
  BufferOf<S> buffer(counting_settings(), {}), flushed(counting_settings(), {});
  for (BufferOf<S>* one : {&buffer, &flushed}) count_on(*one);
  flushed.flush();
  CHECK(flushed.to_pieces("") == buffer.to_pieces(""));
}
