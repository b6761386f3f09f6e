// Forged files of file-backed buffers: whatever is in one, opening it gives a valid buffer that goes on working, or a
// SnapshotError.
//
//   mutate_files COUNT SEED     the same cases for the same arguments; run it under a sanitizer
//
// Each case is the file of a small buffer, closed or killed, in which some words or bytes are others. Checksums would stop
// nearly every change. In this program they are all 0, so that every file has the right ones. A case that is found stays in
// the file `mutate_files.case` of the current folder, written before it is tried; the first byte is its kind.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "checked_use.hpp"
#include "forging.hpp"
#include "temporary_folder.hpp"

// In place of the library's.
std::uint32_t mujigae::crc32(std::span<const std::byte>, std::uint32_t) { return 0; }

using namespace mujigae;

namespace {

struct Original {
  std::size_t kind;
  Bytes content;
  std::vector<std::size_t> words;  // where something other than zeros lies, in bytes from the beginning
};

Bytes content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> chars{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(chars));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::size_t> words_of(const Bytes& content) {
  std::vector<std::size_t> words;
  for (std::size_t at = 0; at + 8 <= content.size(); at += 8) {
    if (value_at<std::int64_t>(content.data() + at) != 0) words.push_back(at);
  }
  return words;
}

// The files of a kind after so many steps: as a kill leaves it after a flush, and closed.
void add_originals(std::size_t k, std::int64_t num_steps, std::vector<Original>& originals) {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  const auto keep = [&] { originals.push_back({k, content_of(path), words_of(content_of(path))}); };
  with_buffer(kinds()[k], MappedFile::create(path, "meta"), [&](auto& buffer) {
    play(buffer, kinds()[k], k, num_steps);
    if (buffer.size() > 0) draw(buffer, kinds()[k]);
    buffer.flush();
    keep();
  });
  keep();
}

void forge(Bytes& content, const std::vector<std::size_t>& words, std::mt19937& random) {
  const auto any_word = [&] { return content.data() + words[random() % words.size()]; };
  for (auto changes = 1 + random() % 4; changes > 0; --changes) {
    std::byte* at = any_word() + (random() % 4 == 0 ? 8 : 0);  // the zeros behind a word, too
    if (at + 8 > content.data() + content.size()) continue;
    if (random() % 4 == 0) {
      at[random() % 8] ^= static_cast<std::byte>(1U << random() % 8);
    } else {
      const std::int64_t value = changed(value_at<std::int64_t>(at), value_at<std::int64_t>(any_word()), random);
      std::memcpy(at, &value, sizeof value);
    }
  }
}

void put_aside(std::size_t k, const Bytes& content) {
  std::ofstream file("mutate_files.case", std::ios::binary);
  file.put(static_cast<char>(k));
  file.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
}

// Whether the file made a buffer.
bool open_and_go_on(const Kind& kind, const Bytes& content) {
  const MemoryFile file(content);
  try {
    with_buffer(kind, MappedFile::open(file.path(), "meta"), [&](auto& buffer) { go_on(buffer, kind); });
    with_buffer(kind, MappedFile::open(file.path(), "meta"), [&](auto& buffer) { go_on(buffer, kind); });
    return true;
  } catch (const SnapshotError&) {
  } catch (const std::exception& error) {
    report(error.what());
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: mutate_files COUNT SEED\n"), 2;
  std::vector<Original> originals;
  for (std::size_t k = 0; k < kinds().size(); ++k) {
    for (const std::int64_t num_steps : {0, 1, 3, 20}) add_originals(k, num_steps, originals);
  }
  const unsigned long long count = std::strtoull(argv[1], nullptr, 10);
  std::mt19937 random(static_cast<unsigned>(std::strtoull(argv[2], nullptr, 10)));
  unsigned long long num_opened = 0;
  for (unsigned long long i = 0; i < count; ++i) {
    const Original& original = originals[random() % originals.size()];
    Bytes content = original.content;
    forge(content, original.words, random);
    put_aside(original.kind, content);
    num_opened += open_and_go_on(kinds()[original.kind], content) ? 1 : 0;
  }
  std::remove("mutate_files.case");
  std::printf("%llu cases, %llu of them opened\n", count, num_opened);
  return num_opened * 50 >= count ? 0 : 1;  // fewer: the changes are refused before they matter
}
