// libFuzzer on the reader of snapshots: whatever the file, load() answers with a valid buffer that goes on working, or with a
// SnapshotError. Anything else is a finding: a crash, another exception, a report of a sanitizer, an invalid buffer, or an
// allocation beyond -malloc_limit_mb.
//
// Checksums would stop nearly every mutation at the door. So the mutator changes the payload of one section, and afterwards
// mends lengths and checksums; now and then it leaves the damage as it is.
#include <algorithm>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "checked_use.hpp"
#include "forging.hpp"
#include "snapshot_sections.hpp"

using namespace mujigae;

std::size_t num_loaded = 0;  // files that made a buffer

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

void load_and_go_on(const std::string& path, const Kind& kind) {
  with_empty_buffer(kind, [&](auto& buffer) {
    buffer.load(path);
    ++num_loaded;
    go_on(buffer, kind);
  });
}

void change_word(std::span<std::byte> payload, std::mt19937& random) {
  const auto any_word = [&] { return payload.data() + 8 * (random() % (payload.size() / 8)); };
  std::byte* word = any_word();
  const std::int64_t value = changed(value_at<std::int64_t>(word), value_at<std::int64_t>(any_word()), random);
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
  const MemoryFile file(std::as_bytes(std::span(data, size)));
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
