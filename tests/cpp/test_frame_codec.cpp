#include "mujigae/frames/frame_codec.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "mujigae/storage/crc32.hpp"

using namespace mujigae;

namespace {

using Bytes = std::vector<std::byte>;
using Random = std::mt19937_64;

Bytes noise(Random& random, std::size_t size, std::uint64_t num_values) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() % num_values);
  return bytes;
}

// Rows of a picture with a background of bands and a few boxes in it.
Bytes picture(Random& random, std::size_t size, std::size_t row_bytes) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i / row_bytes / 7 * 40);
  for (int box = 0; box < 4; ++box) {
    const std::size_t begin = random() % size, width = 1 + random() % 20, height = 1 + random() % 9;
    for (std::size_t i = 0; i < width * height; ++i) {
      const std::size_t at = begin + i / width * row_bytes + i % width;
      if (at < size) bytes[at] = static_cast<std::byte>(17 * box + 3);
    }
  }
  return bytes;
}

Bytes changed(Random& random, Bytes bytes) {
  const std::size_t count = random() % 30;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = random() % bytes.size(), length = std::min(1 + random() % 200, bytes.size() - begin);
    const bool is_run = random() % 2 == 0;
    const auto value = static_cast<std::byte>(random());
    for (std::size_t j = 0; j < length; ++j) bytes[begin + j] = is_run ? value : static_cast<std::byte>(random());
  }
  return bytes;
}

// The bytes of the part, after it has been decoded again from an allocation of exactly its size.
Bytes round_trip(FrameEncoder& encoder, const Bytes& frame, const Bytes* base, std::int64_t row_bytes) {
  const std::span<const std::byte> part = encoder.encode(frame.data(), base ? base->data() : nullptr);
  const Bytes bytes(part.begin(), part.end());
  const FramePart read = FramePart::at(bytes);
  REQUIRE(read.is_valid());
  CHECK(read.bytes().size() == bytes.size());
  CHECK((base != nullptr || !read.needs_base()));
  Bytes out(frame.size(), std::byte{0xee});
  CHECK(decode(read, base ? base->data() : nullptr, row_bytes, out));
  CHECK(out == frame);
  return bytes;
}

}  // namespace

TEST_CASE("any frame of any size comes back, with a base and without") {
  Random random(1);
  for (const std::size_t size : {1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300, 1000, 7056, 20000}) {
    for (const std::int64_t row_bytes :
         {std::int64_t{1}, std::int64_t{7}, std::int64_t{84}, static_cast<std::int64_t>(size), std::int64_t{1} << 40}) {
      CAPTURE(size);
      CAPTURE(row_bytes);
      FrameEncoder encoder(static_cast<std::int64_t>(size), row_bytes);
      for (const std::uint64_t num_values : {1, 2, 3, 256}) {
        const Bytes base = noise(random, size, num_values);
        for (const Bytes& frame : {base, Bytes(size), noise(random, size, num_values), changed(random, base), picture(random, size, 84)}) {
          const Bytes part = round_trip(encoder, frame, &base, row_bytes);
          CHECK(static_cast<std::int64_t>(part.size()) <= FrameEncoder::max_part_bytes(static_cast<std::int64_t>(size)));
          CHECK(round_trip(encoder, frame, nullptr, row_bytes).size() <= size + 4);
        }
      }
    }
  }
}

TEST_CASE("every length of a change and of what lies between changes is exact") {
  const std::size_t size = 20000;
  FrameEncoder encoder(static_cast<std::int64_t>(size), 100);
  const Bytes base(size, std::byte{9});
  for (const std::size_t length : {1, 2, 3, 4, 5, 31, 32, 33, 126, 127, 128, 254, 255, 600}) {
    for (const std::size_t gap : {1, 2, 3, 4, 31, 32, 33, 254, 255, 256, 287, 288, 8160, 8415, 8416, 9000}) {
      for (const bool is_run : {false, true}) {
        Bytes frame = base;
        for (std::size_t at = gap; at < size; at += length + gap) {
          for (std::size_t i = at; i < std::min(at + length, size); ++i) frame[i] = static_cast<std::byte>(is_run ? 1 : i % 3);
        }
        round_trip(encoder, frame, &base, 100);
      }
    }
  }
}

TEST_CASE("an unchanged frame takes one byte, noise its own size, and a small change little more than itself") {
  Random random(2);
  FrameEncoder encoder(7056, 84);
  const Bytes frame = noise(random, 7056, 256);
  CHECK(round_trip(encoder, frame, &frame, 84).size() == 1);
  CHECK(round_trip(encoder, frame, nullptr, 84).size() == 7056 + 3);
  CHECK(round_trip(encoder, noise(random, 7056, 256), &frame, 84).size() == 7056 + 3);
  Bytes next = frame;
  for (std::size_t i = 3000; i < 3010; ++i) next[i] ^= std::byte{1};
  CHECK(round_trip(encoder, next, &frame, 84).size() == 1 + 2 + 2 + 10);
  CHECK(round_trip(encoder, picture(random, 7056, 84), nullptr, 84).size() < 700);
}

TEST_CASE("a part that needs its base is small, or smaller than the same without it") {
  Random random(3);
  FrameEncoder encoder(2000, 40);
  for (int i = 0; i < 300; ++i) {
    const Bytes base = picture(random, 2000, 40), frame = random() % 2 ? changed(random, base) : picture(random, 2000, 40);
    const Bytes part = round_trip(encoder, frame, &base, 40);
    if (!FramePart::at(part).needs_base() || part.size() < 2000 / 8) continue;
    CHECK(part.size() * 8 < encoder.encode(frame.data(), nullptr).size() * 7);
  }
}

TEST_CASE("every instruction set writes these bytes") {
  Random random(4);
  FrameEncoder encoder(7056, 84);
  Bytes all, frame = picture(random, 7056, 84);
  for (int i = 0; i < 50; ++i) {
    const Bytes base = frame;
    frame = i % 2 ? changed(random, frame) : picture(random, 7056, 84);
    const auto part = encoder.encode(frame.data(), i % 5 ? base.data() : nullptr);
    all.insert(all.end(), part.begin(), part.end());
  }
  CHECK(crc32(all) == 1470295848);
}

TEST_CASE("bytes that no encoder wrote are refused or decoded, without a byte out of bounds") {
  Random random(5);
  std::int64_t num_valid = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::size_t size = 1 + random() % 300;
    const auto row_bytes = static_cast<std::int64_t>(1 + random() % 90);
    const Bytes base = noise(random, size, 3);
    Bytes part;
    if (i % 2 == 0) {
      FrameEncoder encoder(static_cast<std::int64_t>(size), row_bytes);
      const Bytes frame = changed(random, base);
      const auto written = encoder.encode(frame.data(), base.data());
      part.assign(written.begin(), written.end());
      for (std::uint64_t n = random() % 4; n > 0; --n) part[random() % part.size()] = static_cast<std::byte>(random());
      part.resize(part.size() - random() % 2);
    } else {
      part = noise(random, random() % 40, i % 3 == 0 ? 8 : 256);
    }
    part.shrink_to_fit();
    Bytes frame(size);
    num_valid += decode(FramePart::at(part), i % 7 ? base.data() : nullptr, row_bytes, frame);
  }
  CHECK(num_valid > 1000);
  CHECK(num_valid < 19000);
}

TEST_CASE("a head that is too long, of an unknown form, or longer than the bytes is no part") {
  const auto is_part = [](std::initializer_list<int> values) {
    Bytes bytes;
    for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
    return FramePart::at(bytes).is_valid();
  };
  CHECK(!is_part({}));
  CHECK(is_part({2}));
  CHECK(!is_part({3}));
  CHECK(!is_part({6}));
  CHECK(is_part({6, 0}));
  CHECK(!is_part({130}));
  CHECK(is_part({130, 0}));
  CHECK(!is_part({255, 255, 255, 255, 255, 255, 255, 255, 255, 1}));
  CHECK(!is_part({254, 255, 255, 255, 255, 255, 255, 255, 127}));
}
