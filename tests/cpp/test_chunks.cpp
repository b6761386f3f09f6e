#include "mujigae/storage/chunks.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>

#include "temporary_folder.hpp"

using namespace mujigae;

namespace {

constexpr std::int64_t kBytes = 5000, kSlots = 3;

// Chunks in slots of a file that is never published.
struct InFile {
  TemporaryFolder folder;
  std::unique_ptr<MappedFile> file = MappedFile::create(folder / "file", "");
  std::byte* begin = nullptr;
  Chunks chunks{kBytes};

  InFile() {
    file->map_states(1);
    begin = file->map_part(kSlots * Chunks::slot_bytes(kBytes), false);
    chunks.put_in({file.get(), begin, kSlots}, kBytes);
  }
};

}  // namespace

TEST_CASE("chunks come at the end and go at the front, and their bytes stay") {
  Chunks chunks(kBytes);
  chunks.reserve(4);
  for (std::int64_t n = 0; n < 4; ++n) chunks[n][kBytes - 1] = static_cast<std::byte>(n);
  chunks.drop_before(2);
  chunks.drop_before(1);  // gone already
  CHECK(chunks.first() == 2);
  CHECK(chunks.end() == 4);
  for (std::int64_t n = 2; n < 4; ++n) CHECK(chunks[n][kBytes - 1] == static_cast<std::byte>(n));
  CHECK(chunks.nbytes() >= 2 * kBytes);
  chunks.drop_before(9);  // there are none so far: the next one is still number 4
  CHECK(chunks.first() == 4);
  CHECK(chunks.nbytes() == 0);
  chunks.restart_at(100);
  chunks.reserve(101);
  CHECK(chunks.first() == 100);
  CHECK(chunks.end() == 101);
}

TEST_CASE("in a file a chunk lies in the slot of its number, and the slots go round") {
  InFile in_file;
  Chunks& chunks = in_file.chunks;
  CHECK(chunks.is_in_file());
  chunks.reserve(kSlots);
  for (std::int64_t n = 0; n < kSlots; ++n) CHECK(chunks[n] == in_file.begin + n * Chunks::slot_bytes(kBytes));
  CHECK(chunks.nbytes() >= kSlots * Chunks::slot_bytes(kBytes));
  chunks[0][7] = std::byte{1};
  CHECK_THROWS_AS(chunks.reserve(kSlots + 1), std::logic_error);
  CHECK(chunks.end() == kSlots);
  chunks.drop_before(1);
  chunks.reserve(kSlots + 1);
  CHECK(chunks[kSlots] == in_file.begin);
  CHECK(chunks[kSlots][7] == std::byte{0});  // what had been there was punched out
}

TEST_CASE("chunks of an earlier process are taken as they are, if there is a slot for all of them") {
  InFile in_file;
  in_file.chunks.reserve(2);
  in_file.chunks[1][7] = std::byte{1};
  Chunks adopted(kBytes);
  adopted.put_in({in_file.file.get(), in_file.begin, kSlots}, kBytes);
  CHECK_FALSE(adopted.adopt(1, 1 + kSlots + 1));
  REQUIRE(adopted.adopt(1, 3));
  CHECK(adopted.first() == 1);
  CHECK(adopted.end() == 3);
  CHECK(adopted[1][7] == std::byte{1});
}
