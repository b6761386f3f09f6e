// Snapshots of a ReplayBuffer that lie, under checksums that are right.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "counting_buffer.hpp"
#include "refusal.hpp"
#include "snapshot_sections.hpp"
#include "temporary_folder.hpp"
#include "mujigae/frames/frame_codec.hpp"
#include "mujigae/replay/replay_buffer.hpp"
#include "snapshot_sections.hpp"
#include "temporary_folder.hpp"

using namespace mujigae;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kTooFar = (std::int64_t{1} << 60) + 1;  // beyond every bound

struct Lie {
  const char* section;
  std::size_t word;
  std::int64_t value;
  const char* refusal;
};

std::int64_t bits(double value) { return std::bit_cast<std::int64_t>(value); }

template <class S>
Bytes truth() {
  BufferOf<S> buffer(counting_settings(), {});
  count_on(buffer);
  return buffer.to_pieces("meta").front();
}

// What loading the snapshot into a fresh buffer says; nothing when it is loaded and goes on working.
template <class S>
std::string refusal(const Bytes& snapshot, const BufferSettings& settings = counting_settings()) {
  BufferOf<S> buffer(settings, {});
  SnapshotReader reader{std::span(snapshot)};
  const std::string refusal = refusal_of([&] {
    CHECK(read_snapshot_meta(reader) == "meta");
    buffer.load(reader);
  });
  if (!refusal.empty()) return refusal;
  CHECK(buffer.why_invalid() == "");
  CHECK(num_wrong_rows(draw(buffer)) == 0);
  count_on(buffer, 30);
  CHECK(num_wrong_rows(draw(buffer)) == 0);
  return "";
}

template <class S>
void check_refused(const std::vector<Lie>& lies) {
  const Bytes snapshot = truth<S>();
  for (const Lie& lie : lies) {
    CAPTURE(lie.section);
    CAPTURE(lie.word);
    CAPTURE(lie.value);
    check_says(refusal<S>(with_value(snapshot, lie.section, lie.word, lie.value)), lie.refusal);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("a snapshot that tells the truth is loaded", S, Uniform, Proportional) {
  CHECK(refusal<S>(truth<S>()) == "");
  CHECK(refusal<S>(with_value(truth<S>(), "HEAD", kCounter, std::int64_t{5})) == "");
}

TEST_CASE_TEMPLATE("counters and settings that cannot be are refused", S, Uniform, Proportional) {
  check_refused<S>({{"HEAD", kNumAdded, -1, "a value of -1, expected 0 to "},
                    {"HEAD", kNumBoundaries, 21, "a value of 21, expected 0 to 20"},
                    {"HEAD", kNStep, 0, "a value of 0, expected 1 to "},
                    {"HEAD", kNStep, 1, "lane 0 holds rows 15 to 20 in 8 slots"},  // five of them could be drawn
                    {"HEAD", kGamma, bits(1.5), "a gamma outside 0 to 1"},
                    {"HEAD", kGamma, bits(-0.5), "a gamma outside 0 to 1"},
                    {"HEAD", kGamma, bits(kNan), "a gamma outside 0 to 1"}});
}

TEST_CASE_TEMPLATE("rows that a lane cannot hold are refused", S, Uniform, Proportional) {
  check_refused<S>({{"HEAD", kFirst, -1, "a value of -1"},
                    {"HEAD", kFirst, (kCountingSlots << 30) + 1, "a value of"},
                    {"HEAD", kFirst, 16, "a section of another length"},
                    {"HEAD", kNext, 14, "a value of 14, expected 15 to 23"},
                    {"HEAD", kNext, 24, "a value of 24, expected 15 to 23"},
                    {"HEAD", kEpisodeStart, 21, "a value of 21, expected 0 to 20"},
                    {"HEAD", kEpisodeStart, 17, "the open episode of lane 0 begins at row 17"},
                    {"HEAD", kIssuedEnd, 21, "a value of 21, expected 0 to 20"},
                    {"HEAD", kEpochs, 1, "a value of 0, expected 1 to 20"},  // epochs are in order
                    {"HEAD", kEpochs + 1, 1, "a value of 0, expected 1 to"},
                    {"HEAD", kEpochs + 6, 21, "a value of 21, expected 0 to 20"},
                    {"HEAD", kEpochs + 7, kTooFar, "a value of"}});
  const Bytes no_end = with_value(truth<S>(), "FLAG", 2, std::uint8_t{0});  // then the episode began before the rows held
  check_says(refusal<S>(no_end), "the open episode of lane 0 begins at row 18");
}

TEST_CASE_TEMPLATE("an open episode without rows is refused", S, Uniform, Proportional) {
  Bytes snapshot = with_value(truth<S>(), "HEAD", kFirst, std::int64_t{20});
  for (const char* section : {"REWD", "FLAG", "ACTN", "STAK"}) snapshot = with_size(snapshot, section, 0);
  check_says(refusal<S>(snapshot), "lane 0 has an open episode without rows");
}

TEST_CASE_TEMPLATE("frames and a current stack that do not agree are refused", S, Uniform, Proportional) {
  check_refused<S>({{"HEAD", kLogBegin, -1, "a value of -1"},
                    {"HEAD", kLogBegin, kTooFar, "a value of"},
                    {"HEAD", kLogEnd, 13, "a value of 13, expected 14 to"},
                    {"HEAD", kLogEnd, 21, "more frames than the lane refers to"},
                    {"HEAD", kLogEnd, 23, "8 frames, expected 9"},
                    {"HEAD", kNewest, -2, "a value of -2"},
                    {"HEAD", kNewest, 20, "a current stack that is not among the frames"},
                    {"HEAD", kDepth, 8, "a current stack that is not among the frames"},
                    {"HEAD", kDepth, 3, "a current stack that is too deep"},
                    {"HEAD", kDepth, 255, "a value of 255, expected 0 to 254"},
                    {"HEAD", kPadding, 2, "a value of 2, expected 0 to 1"}});
  const Bytes snapshot = truth<S>();
  check_says(refusal<S>(with_size(snapshot, "FRAM", 15)), "a section that ends within a frame");
  check_says(refusal<S>(with_size(snapshot, "FRAM", 14)), "7 frames, expected 8");
  check_says(refusal<S>(with_size(snapshot, "FRAM", 18)), "more frames than the lane refers to");
  check_says(refusal<S>(with_size(snapshot, "FRAM", 0)), "0 frames, expected 8");
}

TEST_CASE_TEMPLATE("stacks that do not follow the one before them are refused", S, Uniform, Proportional) {
  const std::size_t third = 3 * 2, last = 3 * 4;  // words of a row: newest, depth, padding
  check_refused<S>({{"STAK", 0, 15, "row 15 of lane 0 does not begin with the first frame held"},  // older than the log
                    {"STAK", third, 16, "the stack of row 17 of lane 0 does not follow the one before it"},  // older than the row before
                    {"STAK", last, 21, "the stack of row 19 of lane 0 does not follow the one before it"},  // its successor is not there
                    {"STAK", 1, 3, "row 15 of lane 0 does not begin with the first frame held"},
                    {"STAK", last + 1, 0, "the stack of row 19 of lane 0 does not follow the one before it"},
                    {"STAK", 0, kTooFar, "a value of"},
                    {"STAK", 1, -1, "a value of -1"},
                    {"STAK", 2, 2, "a value of 2, expected 0 to 1"}});
}

TEST_CASE_TEMPLATE("rewards and flags that cannot be are refused", S, Uniform, Proportional) {
  check_refused<S>({{"REWD", 3, bits(kNan), "a reward that is not finite"}, {"REWD", 0, bits(-kInfinity), "a reward that is not finite"}});
  check_refused<S>({{"REWD", 2, bits(2e38), "a reward that is not finite or too large"}});  // two of them make a sum
  for (const int flags : {3, 5, 6, 7, 8, 255}) {
    check_says(refusal<S>(with_value(truth<S>(), "FLAG", 4, static_cast<std::uint8_t>(flags))), "unknown flags");
  }
}

TEST_CASE("priorities and exponents that cannot be are refused") {
  check_refused<Proportional>({{"PRIO", 0, bits(-0.5), "an alpha, beta or largest priority that is out of range"},
                               {"PRIO", 0, bits(kNan), "an alpha, beta or largest priority that is out of range"},
                               {"PRIO", 1, bits(kInfinity), "an alpha, beta or largest priority that is out of range"},
                               {"PRIO", 2, bits(0.5), "an alpha, beta or largest priority that is out of range"},
                               {"PRIO", 3, bits(-1.0), "a priority that is negative, not finite, or above the largest"},
                               {"PRIO", 7, bits(2.0), "a priority that is negative, not finite, or above the largest"},
                               {"PRIO", 4, bits(kNan), "a priority that is negative, not finite, or above the largest"}});
  const Bytes steep = with_value(truth<Proportional>(), "PRIO", 0, 1000.0);
  CHECK(refusal<Proportional>(steep) == "");
  check_says(refusal<Proportional>(with_value(steep, "PRIO", 2, 1e10)), "out of range");  // (10^10)^1000
}

TEST_CASE_TEMPLATE("sections that are too short, too long, of half an element or of another name are refused", S, Uniform, Proportional) {
  const Bytes snapshot = truth<S>();
  for (const std::string section : {"HEAD", "REWD", "FLAG", "ACTN", "STAK", "PRIO"}) {
    if (section == "PRIO" && !kHasPriorities<S>) continue;
    CAPTURE(section);
    const std::size_t element = section == "FLAG" || section == "ACTN" ? 1 : 8, length = section_of(snapshot, section).length;
    check_says(refusal<S>(with_size(snapshot, section, length - element)),
               section == "HEAD" ? "a section that is too short" : "a section of another length");
    check_says(refusal<S>(with_size(snapshot, section, length + element)),
               section == "HEAD" ? "a section that is too long" : "a section of another length");
    check_says(refusal<S>(with_size(snapshot, section, 0)), section == "HEAD" ? "too short" : "another length");
    if (element == 8) check_says(refusal<S>(with_size(snapshot, section, length - 4)), "no multiple of its elements");
    Bytes renamed = snapshot;
    renamed[section_of(snapshot, section).start] = std::byte{7};
    mend_checksums(renamed);
    check_says(refusal<S>(renamed), "expected section '" + section + "', got '?" + section.substr(1) + "'");
  }
}

TEST_CASE_TEMPLATE("the end is an empty section, and nothing comes behind it", S, Uniform, Proportional) {
  const Bytes snapshot = truth<S>();
  check_says(refusal<S>(with_size(snapshot, "END ", 4)), "the last section is not empty");
  Bytes longer = snapshot;
  longer.push_back(std::byte{0});
  check_says(refusal<S>(longer), "bytes after the end");
  Bytes claims = snapshot;
  claims[section_of(snapshot, "REWD").start + 4 + 7] = std::byte{1};  // 2^56 bytes more
  put_checksum(std::span(claims).subspan(section_of(snapshot, "REWD").start, kSectionHead));
  check_says(refusal<S>(claims), "more than the file has");
}

TEST_CASE_TEMPLATE("coded frames that are none, too few or too many are refused", S, Uniform, Proportional) {
  constexpr std::size_t kFrameBytes = 1100;
  BufferSettings settings = settings_of(4, 1, 2, {{kFrameBytes, 1}});
  settings.compress = true;
  BufferOf<S> buffer(settings, {});
  const auto frame = [](std::int64_t t) { return Bytes(kFrameBytes, static_cast<std::byte>(t)); };
  for (std::int64_t t = 0; t < 40; ++t) buffer.add(OwnedSteps(1, {0}, {{{frame(t)}, {frame(t + 1)}, t, 0.0, false, false}}).view());
  const Bytes snapshot = buffer.to_pieces("meta").front();
  const Section frames = section_of(snapshot, "FRAM");
  const auto steps = std::span(snapshot).subspan(frames.payload(), frames.length);
  const auto refused = [&](std::span<const std::byte> payload) { return refusal<S>(with_payload(snapshot, "FRAM", payload), settings); };
  check_says(refused(steps.first(steps.size() - 1)), "a frame that cannot be decoded");
  check_says(refused(steps.subspan(FramePart::at(steps).bytes().size())), "a frame that cannot be decoded");  // it needs the first
  check_says(refused({}), "0 frames, expected");
  Bytes more(steps.begin(), steps.end());
  more.push_back(std::byte{2});  // as the frame before
  check_says(refused(more), "more frames than the lane refers to");
  more.front() = std::byte{3};  // no form of a frame
  check_says(refused(more), "a frame that cannot be decoded");
}

TEST_CASE_TEMPLATE("a snapshot is saved to a path and loaded from it, and in memory it is the same", S, Uniform, Proportional) {
  const TemporaryFolder folder;
  BufferOf<S> buffer(counting_settings(), {}), loaded(counting_settings(), {});
  count_on(buffer);
  draw(buffer);
  buffer.save(folder / "file", "how to make it");
  CHECK(read_snapshot_meta(folder / "file") == "how to make it");
  loaded.load(folder / "file");
  CHECK(loaded.num_added() == 20);
  CHECK(loaded.size() == 4);
  CHECK(loaded.n_step() == 2);
  CHECK(loaded.gamma() == 0.9);
  CHECK(loaded.num_silent_boundaries() == 0);
  CHECK(loaded.to_pieces("how to make it") == buffer.to_pieces("how to make it"));
  const std::string written = read_file(folder / "file");
  const Bytes bytes = buffer.to_pieces("how to make it").front();
  CHECK(std::equal(written.begin(), written.end(), reinterpret_cast<const char*>(bytes.data()),
                   reinterpret_cast<const char*>(bytes.data() + bytes.size())));
  CHECK(draw(loaded) == draw(buffer));
  CHECK_THROWS_AS(loaded.load(folder / "missing"), std::system_error);
}
