#include "mujigae/storage/available_memory.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

#include "mujigae/check.hpp"
#include "mujigae/storage/descriptor.hpp"

namespace mujigae {
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
      available = std::min(available, available_in_groups(root + "/sys/fs/cgroup", group,
                                                          {"memory.max", "memory.current", "inactive_file"}));
    } else if (controllers == "memory") {
      available = std::min(available, available_in_groups(root + "/sys/fs/cgroup/memory", group,
                                                          {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}));
    }
  }
  return available;
}

}  // namespace

std::int64_t saturating_product(std::int64_t a, std::int64_t b) {
  std::int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? kUnlimited : product;
}

std::int64_t saturating_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? kUnlimited : sum;
}

std::int64_t available_memory_bytes(const std::string& root) {
  const std::int64_t memory = read_meminfo(root, "MemAvailable"), swap = read_meminfo(root, "SwapFree");
  return std::min(saturating_sum(memory, swap == kUnlimited ? 0 : swap), available_in_control_groups(root));
}

void check_memory(const char* argument, std::int64_t bytes_needed) {
  constexpr std::int64_t kSmall = 1 << 20;  // not worth a look at the system
  if (bytes_needed <= kSmall) return;
  const std::int64_t available = available_memory_bytes();
  if (bytes_needed > available) {
    fail_value(argument, ": expected a size that fits into memory, got one that needs ", bytes_needed, " bytes of the ", available,
               " available");
  }
}

void check_disk(const char* argument, std::int64_t bytes_needed, const std::string& path) {
  const std::string folder = folder_of(path);
  struct statvfs disk;
  if (::statvfs(folder.c_str(), &disk) != 0) return;  // creating the file will say why
  const std::int64_t available =
      saturating_product(static_cast<std::int64_t>(disk.f_bavail), static_cast<std::int64_t>(disk.f_frsize));
  if (bytes_needed > available) {
    fail_value(argument, ": expected a size that fits onto the disk, got one that needs ", bytes_needed, " bytes of the ", available,
               " available in ", folder);
  }
}

}  // namespace mujigae
