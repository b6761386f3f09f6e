#include "mujigae/storage/available_memory.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "temporary_folder.hpp"

using namespace mujigae;

namespace {

void put(const TemporaryFolder& root, const std::string& name, const std::string& contents) {
  std::filesystem::create_directories(std::filesystem::path(root / name).parent_path());
  write_file(root / name, contents);
}

}  // namespace

TEST_CASE("memory and swap are counted, and a system that says nothing sets no limit") {
  const TemporaryFolder root;
  CHECK(available_memory_bytes(root.path()) == INT64_MAX);
  put(root, "proc/meminfo", "MemTotal: 100 kB\n\nMemAvailable:   70 kB\nSwapFree: 5 kB\n");
  CHECK(available_memory_bytes(root.path()) == 75 * 1024);
}

TEST_CASE("the tightest of the control groups above the process counts, without what it only caches") {
  const TemporaryFolder root;
  put(root, "proc/meminfo", "MemAvailable: 1000 kB\n");
  put(root, "proc/self/cgroup", "0::/jobs/one\n");
  put(root, "sys/fs/cgroup/memory.max", "1\n");  // and nobody says how much is used of it
  put(root, "sys/fs/cgroup/jobs/one/memory.max", "max\n");
  put(root, "sys/fs/cgroup/jobs/one/memory.current", "4000\n");
  CHECK(available_memory_bytes(root.path()) == 1000 * 1024);
  put(root, "sys/fs/cgroup/jobs/memory.max", "9000\n");
  put(root, "sys/fs/cgroup/jobs/memory.current", "5000\n");
  CHECK(available_memory_bytes(root.path()) == 4000);
  put(root, "sys/fs/cgroup/jobs/memory.stat", "anon 1\ninactive_file 2500\n");
  CHECK(available_memory_bytes(root.path()) == 6500);
}

TEST_CASE("groups of the first version count as well, and one that is over its limit has nothing") {
  const TemporaryFolder root;
  put(root, "proc/self/cgroup", "8:cpu:/x\n4:memory:/elsewhere\nnonsense\n");
  put(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n");
  put(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n");
  CHECK(available_memory_bytes(root.path()) == 0);
  put(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  CHECK(available_memory_bytes(root.path()) > std::int64_t{1} << 60);
}

TEST_CASE("a size beyond memory or disk is refused with both numbers, and a small one passes") {
  CHECK_NOTHROW(check_memory("capacity", 1000));
  CHECK_NOTHROW(check_memory("capacity", (1 << 20) + 1));
  CHECK_THROWS_WITH_AS(check_memory("capacity", INT64_MAX), doctest::Contains("capacity: expected a size that fits into memory"),
                       std::invalid_argument);
  const TemporaryFolder folder;
  CHECK_NOTHROW(check_disk("capacity", 1, folder / "file"));
  CHECK_NOTHROW(check_disk("capacity", INT64_MAX, folder / "missing/file"));  // creating the file will say why
  CHECK_THROWS_WITH_AS(check_disk("capacity", INT64_MAX, folder / "file"), doctest::Contains(folder.path().c_str()), std::invalid_argument);
}

TEST_CASE("products and sums stop at the largest number") {
  CHECK(saturating_product(3, 5) == 15);
  CHECK(saturating_product(INT64_MAX / 2, 3) == INT64_MAX);
  CHECK(saturating_sum(3, 5) == 8);
  CHECK(saturating_sum(INT64_MAX, 1) == INT64_MAX);
}
