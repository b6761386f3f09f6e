#include "mujigae/storage/crc32.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

using namespace mujigae;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// One bit after the other.
std::uint32_t naive_crc32(std::span<const std::byte> bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const std::byte byte : bytes) {
    crc ^= static_cast<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
  }
  return ~crc;
}

std::vector<std::byte> random_bytes(std::size_t count) {
  std::vector<std::byte> bytes;
  for (std::uint64_t state = 1; bytes.size() < count;) {
    state = state * 6364136223846793005 + 1442695040888963407;
    bytes.push_back(static_cast<std::byte>(state >> 56));
  }
  return bytes;
}

}  // namespace

TEST_CASE("crc32 is zlib's") {
  CHECK(crc32(bytes_of("123456789")) == 0xcbf43926);
  CHECK(crc32({}) == 0);
}

TEST_CASE("crc32 is the same for every length and place, byte by byte or not") {
  const std::vector<std::byte> bytes = random_bytes(1'000);
  for (std::size_t begin = 0; begin < 17; ++begin) {
    for (std::size_t size = 0; size <= 600; ++size) {
      const std::span part = std::span(bytes).subspan(begin, size);
      REQUIRE(crc32(part) == naive_crc32(part));
    }
  }
}

TEST_CASE("crc32 goes on from a part to the next, wherever the message is cut") {
  const std::vector<std::byte> bytes = random_bytes(700);
  const std::uint32_t whole = naive_crc32(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    REQUIRE(crc32(std::span(bytes).subspan(cut), crc32(std::span(bytes).first(cut))) == whole);
  }
}

TEST_CASE("crc32 detects every change of a bit") {
  std::vector<std::byte> bytes = random_bytes(300);
  const std::uint32_t whole = crc32(bytes);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    const std::byte mask{static_cast<unsigned char>(1 << bit % 8)};
    bytes[bit / 8] ^= mask;
    REQUIRE(crc32(bytes) != whole);
    bytes[bit / 8] ^= mask;
  }
}
