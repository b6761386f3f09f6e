// What Linux and macOS share.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>

#include "mujigae/storage/system.hpp"

namespace mujigae::system {
namespace {

void* mapped(void* memory) { return memory == MAP_FAILED ? nullptr : memory; }

}  // namespace

// --- memory

void* map_memory(std::size_t bytes) { return mapped(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); }

void unmap_memory(void* memory, std::size_t bytes) { ::munmap(memory, bytes); }

std::optional<std::int64_t> available_disk(const std::string& folder) {
  struct statvfs disk;
  if (::statvfs(folder.c_str(), &disk) != 0) return std::nullopt;
  std::int64_t bytes;
  const bool is_too_large = __builtin_mul_overflow(disk.f_bavail, disk.f_frsize, &bytes);
  return is_too_large ? std::numeric_limits<std::int64_t>::max() : bytes;
}

// --- files

int open_to_read(const std::string& path) { return ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC); }

int open_to_write(const std::string& path, bool follows_links) {
  return ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | (follows_links ? 0 : O_NOFOLLOW));
}

int create_to_write(const std::string& path) { return ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644); }

void copy_mode(const std::string& path, int file) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) ::fchmod(file, status.st_mode & 07777);
}

int duplicate(int file) { return ::fcntl(file, F_DUPFD_CLOEXEC, 0); }

void close(int file) { ::close(file); }

std::optional<std::uint64_t> size_of_regular(int file) {
  struct stat status;
  if (::fstat(file, &status) != 0) return std::nullopt;
  errno = 0;
  return S_ISREG(status.st_mode) ? std::optional(static_cast<std::uint64_t>(status.st_size)) : std::nullopt;
}

std::ptrdiff_t write(int file, std::span<const std::byte> bytes) {
  ssize_t count;
  do {
    count = ::write(file, bytes.data(), bytes.size());
  } while (count < 0 && errno == EINTR);
  return count;
}

std::ptrdiff_t read_at(int file, std::span<std::byte> bytes, std::uint64_t offset) {
  ssize_t count;
  do {
    count = ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  } while (count < 0 && errno == EINTR);
  return count;
}

bool lock(int file, bool is_shared) { return ::flock(file, (is_shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0; }

void unlock(int file) { ::flock(file, LOCK_UN); }

bool has_name(int file) {
  struct stat status;
  return ::fstat(file, &status) == 0 && status.st_nlink > 0;
}

bool rename_over(const std::string& from, const std::string& to) { return ::rename(from.c_str(), to.c_str()) == 0; }

bool rename_new(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) != 0) return false;
  ::unlink(from.c_str());
  return true;
}

void remove(const std::string& path) { ::unlink(path.c_str()); }

void sync_folder(const std::string& folder) {
  const int file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;  // the data is safe; a folder that cannot be opened cannot be synced
  sync(file);
  close(file);
}

std::filesystem::path path_of(const std::string& utf8) { return utf8; }
std::string utf8_of(const std::filesystem::path& path) { return path.string(); }

// --- files in memory

bool set_size(int file, std::int64_t bytes) { return ::ftruncate(file, bytes) == 0; }

bool write_at(int file, std::span<const std::byte> bytes, std::int64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno != EINTR) return false;
    if (count <= 0) continue;
    offset += count;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

void* map_file(int file, std::int64_t offset, std::size_t bytes, bool is_copy) {
  const int sharing = is_copy ? MAP_PRIVATE : MAP_SHARED;
  return mapped(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, sharing | MAP_NORESERVE, file, offset));
}

bool sync_mapped(void* memory, std::size_t bytes) { return ::msync(memory, bytes, MS_SYNC) == 0; }

bool are_same(int file, const std::string& path) {
  struct stat ours, theirs;
  return ::fstat(file, &ours) == 0 && ::stat(path.c_str(), &theirs) == 0 && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

// --- processor, processes and threads

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul"); }
bool has_avx512() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"); }
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

std::int64_t process_id() { return ::getpid(); }

void at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) { ::pthread_atfork(before, in_parent, in_child); }

void without_signals(const std::function<void()>& start) {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const auto restore = std::shared_ptr<void>(nullptr, [&before](void*) { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); });
  start();
}

}  // namespace mujigae::system
