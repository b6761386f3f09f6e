#include "mujigae/storage/aside_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "temporary_folder.hpp"

namespace {

bool is_disk_failing = false;

}  // namespace

// In place of the C library's: a disk that fails when the test says so.
extern "C" int fsync(int file) {
  if (!is_disk_failing) return static_cast<int>(::syscall(SYS_fsync, file));
  errno = EIO;
  return -1;
}

using namespace mujigae;

namespace {

void put(const AsideFile& file, const std::string& text) {
  REQUIRE(::write(file.descriptor(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

Descriptor locked(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT, 0644));
  REQUIRE(::flock(*file, LOCK_EX | LOCK_NB) == 0);
  return file;
}

// The names that the next files of this process would take.
std::vector<std::string> next_names(const std::string& path, int count) {
  const std::string name = AsideFile(path).name();
  const std::size_t number = name.rfind('-') + 1;
  const int last = std::stoi(name.substr(number));
  std::vector<std::string> names;
  for (int i = 1; i <= count; ++i) names.push_back(name.substr(0, number) + std::to_string(last + i) + ".tmp");
  return names;
}

}  // namespace

TEST_CASE("a file takes its name at once: one replaces what was there, the other refuses to") {
  const TemporaryFolder folder;
  for (const std::string text : {"first", "second"}) {
    AsideFile file(folder / "file");
    put(file, text);
    CHECK(folder.num_files() == (text == "first" ? 1 : 2));
    file.replace();
    CHECK(read_file(folder / "file") == text);
    CHECK(folder.num_files() == 1);
  }
  AsideFile file(folder / "file");
  put(file, "third");
  CHECK_THROWS_WITH_AS(file.publish(), doctest::Contains("cannot create"), std::system_error);
  CHECK(read_file(folder / "file") == "second");
}

TEST_CASE("a file that never took its name goes, and one that did stays locked in the hands of who releases it") {
  const TemporaryFolder folder;
  { const AsideFile file(folder / "file"); }
  CHECK(folder.num_files() == 0);
  AsideFile file(folder / "file");
  file.publish();
  {
    const Descriptor kept = file.release();
    const Descriptor other(::open((folder / "file").c_str(), O_RDWR));
    CHECK(::flock(*other, LOCK_EX | LOCK_NB) != 0);
  }
  locked(folder / "file");
}

TEST_CASE("what a killed process left is removed, and nothing that only looks like it") {
  const TemporaryFolder folder;
  const std::vector<std::string> abandoned = {"file.1-2.tmp", "file.77-0.tmp"};
  const std::vector<std::string> foreign = {"file.tmp",      "file.1234.tmp", "file.a-1.tmp", "file.1-2.tmp2",      "file2.1-2.tmp",
                                            "xfile.1-2.tmp", "file.1-2.TMP",  "file.1-.tmp",  "file.2024-05-01.tmp"};
  for (const auto& names : {abandoned, foreign}) {
    for (const std::string& name : names) write_file(folder / name, "");
  }
  write_file(folder / "file.77-0.tmp", "MUJIGAE\n and more");
  write_file(folder / "file.2024-05.tmp", "notes of May");
  const Descriptor in_use = locked(folder / "file.1-3.tmp");
  std::filesystem::create_symlink(folder / "file.tmp", folder / "file.1-4.tmp");
  AsideFile(folder / "file").replace();
  for (const std::string& name : abandoned) CHECK_FALSE(std::filesystem::exists(folder / name));
  for (const std::string& name : foreign) CHECK(std::filesystem::exists(folder / name));
  CHECK(std::filesystem::exists(folder / "file.1-3.tmp"));
  CHECK(read_file(folder / "file.2024-05.tmp") == "notes of May");
  CHECK(std::filesystem::is_symlink(folder / "file.1-4.tmp"));
}

TEST_CASE("the file of a buffer that is open is not replaced, and one that is only read is") {
  const TemporaryFolder folder;
  write_file(folder / "file", "rows");
  {
    const Descriptor in_use = locked(folder / "file");
    CHECK_THROWS_WITH_AS(AsideFile(folder / "file"), doctest::Contains("a buffer that is open"), std::system_error);
    CHECK(folder.num_files() == 1);
  }
  const Descriptor reader(::open((folder / "file").c_str(), O_RDONLY));
  REQUIRE(::flock(*reader, LOCK_SH | LOCK_NB) == 0);
  AsideFile(folder / "file").replace();
  CHECK(read_file(folder / "file").empty());
}

TEST_CASE("who may read the older file may read the one that replaces it") {
  const TemporaryFolder folder;
  write_file(folder / "file", "old");
  REQUIRE(::chmod((folder / "file").c_str(), 0600) == 0);
  AsideFile(folder / "file").replace();
  CHECK((std::filesystem::status(folder / "file").permissions() & std::filesystem::perms::all) ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}

TEST_CASE("a name that another file has and holds is passed over") {
  const TemporaryFolder folder;
  const std::vector<std::string> names = next_names(folder / "file", 3);
  const Descriptor first = locked(names[0]), second = locked(names[1]);
  const AsideFile file(folder / "file");
  CHECK(file.name() == names[2]);
  CHECK(folder.num_files() == 3);
}

TEST_CASE("a disk that fails to sync is an error that leaves the old file") {
  const TemporaryFolder folder;
  write_file(folder / "file", "old");
  {
    AsideFile file(folder / "file");
    put(file, "new");
    is_disk_failing = true;
    CHECK_THROWS_WITH_AS(file.replace(), doctest::Contains("cannot sync"), std::system_error);
    CHECK_THROWS_WITH_AS(file.publish(), doctest::Contains("cannot sync"), std::system_error);
    is_disk_failing = false;
  }
  CHECK(read_file(folder / "file") == "old");
  CHECK(folder.num_files() == 1);
}

TEST_CASE("a folder that is not there is an error of the system") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(AsideFile(folder / "missing/file"), doctest::Contains("cannot create"), std::system_error);
}

TEST_CASE("a folder or a pipe that has the name stays, and is an error") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "taken");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  for (const std::string name : {"taken", "pipe"}) {
    CHECK_THROWS_WITH_AS(AsideFile(folder / name), doctest::Contains("expected a regular file"), std::system_error);
  }
  CHECK(std::filesystem::is_fifo(folder / "pipe"));
  CHECK(folder.num_files() == 2);
}

TEST_CASE("a link stays one, and the file behind it is replaced") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "elsewhere");
  write_file(folder / "elsewhere/file", "old");
  std::filesystem::create_symlink(folder / "elsewhere/file", folder / "link");
  AsideFile file(folder / "link");
  put(file, "new");
  file.replace();
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(read_file(folder / "elsewhere/file") == "new");
}

// Each looks for abandoned files while the others make theirs: between a file's creation and its lock it looks abandoned.
TEST_CASE("files that are made beside each other at once are never taken for abandoned ones") {
  const TemporaryFolder folder;
  std::atomic<int> num_lost = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        AsideFile file(folder / "file");
        struct stat status;
        num_lost += ::fstat(file.descriptor(), &status) != 0 || status.st_nlink != 1;
        file.replace();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(num_lost == 0);
  CHECK(folder.num_files() == 1);
}
