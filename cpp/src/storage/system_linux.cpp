// What Linux has in its own way; the rest is in system_posix.cpp.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include "mujigae/storage/available_memory.hpp"
#include "mujigae/storage/system.hpp"

namespace mujigae::system {
namespace {

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

// The value behind `name` in a file of lines "name value"; an empty name: the number that the file is. kUnlimited without one.
std::int64_t read_number(const std::string& path, const std::string& name = "") {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string first;
    if (!name.empty() && !(words >> first && first == name)) continue;
    std::int64_t number;
    return words >> number ? number : kUnlimited;  // "max", and numbers beyond 63 bits
  }
  return kUnlimited;
}

std::int64_t read_meminfo(const std::string& root, const std::string& name) {
  const std::int64_t kilobytes = read_number(root + "/proc/meminfo", name + ":");
  return kilobytes == kUnlimited ? kUnlimited : saturating_product(kilobytes, 1024);
}

struct GroupFiles {
  const char *limit, *usage, *cache;  // the cache is given back when memory is short
};

std::int64_t available_in_group(const std::string& folder, const GroupFiles& files) {
  const std::int64_t limit = read_number(folder + "/" + files.limit), usage = read_number(folder + "/" + files.usage);
  if (limit == kUnlimited || usage == kUnlimited) return kUnlimited;
  const std::int64_t cache = read_number(folder + "/memory.stat", files.cache);
  return std::max<std::int64_t>(limit - usage + (cache == kUnlimited ? 0 : cache), 0);
}

// The limits of a group and of all groups above it. Inside a container the upper ones are not to be seen.
std::int64_t available_in_groups(const std::string& mount, std::string group, const GroupFiles& files) {
  std::int64_t available = kUnlimited;
  while (true) {
    available = std::min(available, available_in_group(mount + group, files));
    if (group.empty()) return available;
    group.resize(std::min(group.rfind('/'), group.size() - 1));
  }
}

std::int64_t available_in_control_groups(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::int64_t available = kUnlimited;
  for (std::string line; std::getline(file, line);) {  // number:controllers:/group
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) {
      available =
          std::min(available, available_in_groups(root + "/sys/fs/cgroup", group, {"memory.max", "memory.current", "inactive_file"}));
    } else if (controllers == "memory") {
      available = std::min(available, available_in_groups(root + "/sys/fs/cgroup/memory", group,
                                                          {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}));
    }
  }
  return available;
}

}  // namespace

void ask_for_huge_pages(void* memory, std::size_t bytes) { ::madvise(memory, bytes, MADV_HUGEPAGE); }

std::optional<std::int64_t> available_memory(const std::string& root) {
  const std::int64_t memory = read_meminfo(root, "MemAvailable"), swap = read_meminfo(root, "SwapFree");
  return std::min(saturating_sum(memory, swap == kUnlimited ? 0 : swap), available_in_control_groups(root));
}

void read_soon(int file, std::uint64_t offset, std::uint64_t bytes) {
  ::posix_fadvise(file, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
}

bool sync(int file) { return ::fsync(file) == 0; }

bool reserve(int file, std::int64_t offset, std::int64_t bytes) {
  do {
    errno = ::posix_fallocate(file, offset, bytes);
  } while (errno == EINTR);
  return errno == 0;
}

void punch(int file, std::int64_t offset, std::int64_t bytes) noexcept {
  ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}

std::size_t num_processors() {
  cpu_set_t processors;
  if (::sched_getaffinity(0, sizeof processors, &processors) == 0) return static_cast<std::size_t>(CPU_COUNT(&processors));
  return std::max(std::thread::hardware_concurrency(), 1u);
}

void yield_to_wakers() {
  const sched_param none{};
  ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &none);
}

}  // namespace mujigae::system
