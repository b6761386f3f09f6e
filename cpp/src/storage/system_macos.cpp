// What macOS has in its own way; the rest is in system_posix.cpp.
#include <fcntl.h>
#include <mach/mach.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "mujigae/storage/system.hpp"

namespace mujigae::system {

void ask_for_huge_pages(void*, std::size_t) {}  // the system has none for this

// Free pages, and those that it would give up first.
std::optional<std::int64_t> available_memory(const std::string&) {
  vm_statistics64_data_t pages;
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  const host_t host = ::mach_host_self();
  if (::host_statistics64(host, HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages), &count) != KERN_SUCCESS) return std::nullopt;
  const std::int64_t num_pages = std::int64_t{pages.free_count} + pages.inactive_count + pages.purgeable_count;
  return num_pages * static_cast<std::int64_t>(::getpagesize());
}

void read_soon(int, std::uint64_t, std::uint64_t) {}

// fsync leaves the bytes in the disk's own cache, where a power failure loses them.
bool sync(int file) { return ::fcntl(file, F_FULLFSYNC) == 0 || ::fsync(file) == 0; }

// There is no posix_fallocate: a byte of every block is written as it is, which takes the block's place.
bool reserve(int file, std::int64_t offset, std::int64_t bytes) {
  constexpr std::int64_t kBlock = 4096;
  const std::int64_t end = offset + bytes;
  for (std::int64_t at = offset; at < end; at = (at / kBlock + 1) * kBlock) {
    std::byte value{};
    if (read_at(file, {&value, 1}, static_cast<std::uint64_t>(at)) < 0 || !write_at(file, {&value, 1}, at)) return false;
  }
  return true;
}

void punch(int file, std::int64_t offset, std::int64_t bytes) noexcept {
  fpunchhole_t hole = {0, 0, offset, bytes};
  ::fcntl(file, F_PUNCHHOLE, &hole);
}

std::size_t num_processors() { return std::max(std::thread::hardware_concurrency(), 1u); }

void yield_to_wakers() {}

}  // namespace mujigae::system
