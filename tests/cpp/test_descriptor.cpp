#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "mujigae/storage/descriptor.hpp"

using namespace mujigae;

TEST_CASE("the folder of a path is where its last name lies") {
  CHECK(folder_of("name") == ".");
  CHECK(folder_of("/name") == "/");
  CHECK(folder_of("folder/name") == "folder");
  CHECK(folder_of("/a/b/name") == "/a/b");
}

TEST_CASE("a failure of the system says what failed and why") {
  errno = ENOSPC;
  try {
    fail_system("cannot write here");
  } catch (const std::system_error& error) {
    CHECK(error.code().value() == ENOSPC);
    CHECK(std::string(error.what()).find("cannot write here") == 0);
  }
}

TEST_CASE("a descriptor is handed on, and an empty one is none") {
  Descriptor none, other;
  CHECK(!none);
  other = std::move(none);
  CHECK(!other);
}
