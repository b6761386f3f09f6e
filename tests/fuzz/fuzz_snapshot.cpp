// libFuzzer on the reader of snapshots: whatever the file, load() answers with a valid buffer that goes on working, or with a
// SnapshotError. Anything else is a finding: a crash, another exception, a report of a sanitizer, an invalid buffer, or an
// allocation beyond -malloc_limit_mb.
//
// Checksums would stop nearly every mutation at the door. So the mutator changes the payload of one section, and afterwards
// mends lengths and checksums; now and then it leaves the damage as it is.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kinds.hpp"
#include "snapshot_sections.hpp"

using namespace mujigae;

std::size_t num_loaded = 0;  // files that made a buffer

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

[[noreturn]] void report(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

struct MemoryFile {  // a regular file without a disk
  MemoryFile(const std::uint8_t* data, std::size_t size) : descriptor(::memfd_create("snapshot", 0)) {
    if (descriptor < 0 || ::write(descriptor, data, size) != static_cast<ssize_t>(size)) report("no memory for a file");
  }
  ~MemoryFile() { ::close(descriptor); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor); }
  int descriptor;
};

void expect_valid(const std::string& when, const std::string& reason) {
  if (!reason.empty()) report(when + ": " + reason);
}

// Whatever the file says of leaves and exponents, a draw is made or refused in words.
template <class Buffer>
void draw_or_be_refused(Buffer& buffer, const Kind& kind) {
  try {
    if (buffer.size() > 0) draw(buffer, kind);
  } catch (const std::invalid_argument&) {
  }
}

// Nothing that a buffer saves is refused.
template <class Buffer>
void load_again(const Buffer& buffer, const Kind& kind) {
  const auto pieces = buffer.to_pieces("meta");
  with_empty_buffer(kind, [&](auto& again) {
    try {
      SnapshotReader reader(std::vector<std::span<const std::byte>>(pieces.begin(), pieces.end()));
      read_snapshot_meta(reader);
      again.load(reader);
    } catch (const SnapshotError& error) {
      report(std::string("a buffer saves what is refused: ") + error.what());
    }
    if (again.to_pieces("meta") != pieces) report("a buffer that was loaded saves something else");
  });
}

void load_and_go_on(const std::string& path, const Kind& kind) {
  with_empty_buffer(kind, [&](auto& buffer) {
    buffer.load(path);
    ++num_loaded;
    expect_valid("after load", buffer.why_invalid());
    draw_or_be_refused(buffer, kind);
    play(buffer, kind, 99, 12);
    draw_or_be_refused(buffer, kind);
    expect_valid("after going on", buffer.why_invalid());
    load_again(buffer, kind);
  });
}

// One word of the payload becomes another: a neighbour, a bound, or the value of another word.
void change_word(std::span<std::byte> payload, std::mt19937& random) {
  static constexpr std::int64_t kBounds[] = {-1, 0, 1, 255, INT32_MAX, std::int64_t{1} << 40, INT64_MAX, INT64_MIN};
  const auto any_word = [&] { return payload.data() + 8 * (random() % (payload.size() / 8)); };
  std::byte* word = any_word();
  auto value = value_at<std::int64_t>(word);
  switch (random() % 3) {
    case 0: value = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) + random() % 17 - 8); break;
    case 1: value = kBounds[random() % std::size(kBounds)]; break;
    default: value = value_at<std::int64_t>(any_word());
  }
  std::memcpy(word, &value, sizeof value);
}

// The payload as libFuzzer would have it; what follows moves up or down.
std::size_t change_bytes(std::uint8_t* data, std::size_t size, std::size_t max_size, const Section& section) {
  const std::size_t from = section.payload(), rest = size - from - section.length;
  std::vector<std::uint8_t> payload(data + from, data + from + section.length);
  payload.resize(std::max<std::size_t>(section.length + max_size - size, 1));
  payload.resize(LLVMFuzzerMutate(payload.data(), section.length, payload.size()));
  std::memmove(data + from + payload.size(), data + from + section.length, rest);
  std::copy(payload.begin(), payload.end(), data + from);
  const std::uint64_t length = payload.size();
  std::memcpy(data + section.start + 4, &length, sizeof length);
  return from + payload.size() + rest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const MemoryFile file(data, size);
  try {
    const std::string meta = read_snapshot_meta(file.path());
    const std::size_t k = meta.empty() ? 0 : static_cast<std::uint8_t>(meta[0]) - std::size_t{'a'};
    load_and_go_on(file.path(), kinds()[k % kinds().size()]);
  } catch (const SnapshotError&) {
  } catch (const std::exception& error) {
    report(error.what());
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  std::mt19937 random(seed);
  if (size < kFileHead || max_size < size || random() % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const auto snapshot = [&] { return std::as_writable_bytes(std::span(data, size)); };
  const std::vector<Section> found = sections(snapshot());
  if (found.empty()) {
    size = LLVMFuzzerMutate(data, size, max_size);
  } else {
    const Section& section = found[random() % found.size()];
    if (section.length >= 8 && random() % 2 == 0) {
      change_word(snapshot().subspan(section.payload(), section.length), random);
    } else {
      size = change_bytes(data, size, max_size, section);
    }
  }
  if (size >= kFileHead && random() % 16 != 0) mend_checksums(snapshot());
  return size;
}
