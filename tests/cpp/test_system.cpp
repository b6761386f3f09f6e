#include "mujigae/storage/system.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>

#include "mujigae/storage/descriptor.hpp"
#include "temporary_folder.hpp"

using namespace mujigae;

TEST_CASE("memory is mapped as zeros, and more than there can be is none") {
  auto* const memory = static_cast<std::byte*>(system::map_memory(1 << 22));
  REQUIRE(memory != nullptr);
  CHECK(memory[0] == std::byte{0});
  CHECK(memory[(1 << 22) - 1] == std::byte{0});
  system::unmap_memory(memory, 1 << 22);
  CHECK(system::map_memory(std::size_t{1} << 62) == nullptr);
}

TEST_CASE("a new file is created once, and what is written at a place is read there") {
  const TemporaryFolder folder;
  const Descriptor file(system::create_to_write(folder / "file"));
  REQUIRE(file);
  CHECK(!Descriptor(system::create_to_write(folder / "file")));
  CHECK(errno == EEXIST);
  const std::array<std::byte, 3> bytes = {std::byte{1}, std::byte{2}, std::byte{3}};
  CHECK(system::write_at(*file, bytes, 5));
  std::array<std::byte, 4> found = {};
  CHECK(system::read_at(*file, found, 4) == 4);
  CHECK(found == std::array<std::byte, 4>{std::byte{0}, std::byte{1}, std::byte{2}, std::byte{3}});
  CHECK(system::size_of_regular(*file) == 8);
  CHECK(system::sync(*file));
}

TEST_CASE("a lock is for one opening of a file, or shared by all that only read") {
  const TemporaryFolder folder;
  const Descriptor one(system::create_to_write(folder / "file")), two(system::open_to_read(folder / "file"));
  CHECK(system::lock(*one, false));
  CHECK(!system::lock(*two, true));
  CHECK(errno == EWOULDBLOCK);
  CHECK(system::lock(*one, true));
  CHECK(system::lock(*two, true));
}

TEST_CASE("a new name is taken once, and a file that has been removed has none") {
  const TemporaryFolder folder;
  const Descriptor one(system::create_to_write(folder / "one")), two(system::create_to_write(folder / "two"));
  CHECK(!system::rename_new(folder / "one", folder / "two"));
  CHECK(errno == EEXIST);
  CHECK(system::rename_new(folder / "one", folder / "three"));
  CHECK(system::are_same(*one, folder / "three"));
  CHECK(system::rename_over(folder / "two", folder / "three"));
  CHECK(system::are_same(*two, folder / "three"));
  CHECK(!system::has_name(*one));
  system::remove(folder / "three");
  CHECK(!system::has_name(*two));
}

TEST_CASE("a folder is no regular file, and one that is not there is not synced") {
  const TemporaryFolder folder;
  const Descriptor file(system::open_to_read(folder / ""));
  REQUIRE(file);
  CHECK(!system::size_of_regular(*file));
  CHECK(errno == 0);
  CHECK_NOTHROW(system::sync_folder(folder / "missing"));
  CHECK(!system::available_disk(folder / "missing"));
}

TEST_CASE("there is at least one processor, and paths keep their letters") {
  CHECK(system::num_processors() >= 1);
  const std::string name = "\xeb\xac\xb4\xec\xa7\x80\xea\xb0\x9c";
  CHECK(system::utf8_of(system::path_of(name)) == name);
}
