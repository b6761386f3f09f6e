// A regular file without a disk, and words of a file's content that become others.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <span>
#include <stdexcept>
#include <string>

#include "snapshot_sections.hpp"

namespace mujigae {

struct MemoryFile {
  explicit MemoryFile(std::span<const std::byte> content) : descriptor(::memfd_create("forged", 0)) {
    if (descriptor < 0 || ::write(descriptor, content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
      throw std::logic_error("no memory for a file");
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor); }
  int descriptor;
};

// Another value for a word: a neighbour, a bound, or the value of another word.
inline std::int64_t changed(std::int64_t value, std::int64_t other, std::mt19937& random) {
  static constexpr std::int64_t kBounds[] = {-1, 0, 1, 255, INT32_MAX, std::int64_t{1} << 40, INT64_MAX, INT64_MIN};
  switch (random() % 3) {
    case 0: return static_cast<std::int64_t>(static_cast<std::uint64_t>(value) + random() % 17 - 8);
    case 1: return kBounds[random() % std::size(kBounds)];
    default: return other;
  }
}

}  // namespace mujigae
