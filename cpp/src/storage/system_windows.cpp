// Windows. Files are opened with every kind of sharing, so that one that is open can be renamed or removed, as elsewhere.
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
// after windows.h
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "mujigae/storage/system.hpp"

namespace mujigae::system {
namespace {

int errno_of(DWORD error) {
  switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND: return ENOENT;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS: return EEXIST;
    case ERROR_DISK_FULL: return ENOSPC;
    case ERROR_LOCK_VIOLATION:
    case ERROR_SHARING_VIOLATION: return EWOULDBLOCK;
    default: return EACCES;
  }
}

bool done(BOOL result) {
  if (!result) errno = errno_of(::GetLastError());
  return result != 0;
}

HANDLE handle_of(int file) { return reinterpret_cast<HANDLE>(::_get_osfhandle(file)); }

int open_as(const std::string& path, DWORD access, DWORD creation, int flags) {
  constexpr DWORD kAllSharing = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  const HANDLE handle = ::CreateFileW(path_of(path).c_str(), access, kAllSharing, nullptr, creation, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (!done(handle != INVALID_HANDLE_VALUE)) return -1;
  return ::_open_osfhandle(reinterpret_cast<std::intptr_t>(handle), flags | _O_BINARY | _O_NOINHERIT);
}

bool move_file(const std::string& from, const std::string& to, DWORD flags) {
  return done(::MoveFileExW(path_of(from).c_str(), path_of(to).c_str(), flags | MOVEFILE_WRITE_THROUGH));
}

template <class Result>
Result not_here() {
  errno = ENOTSUP;
  return Result{};
}

// At most so many bytes in one call of the C library, which counts in int.
unsigned one_call(std::size_t bytes) { return static_cast<unsigned>(std::min<std::size_t>(bytes, 1 << 30)); }

}  // namespace

// --- memory

void* map_memory(std::size_t bytes) { return ::VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
void unmap_memory(void* memory, std::size_t) { ::VirtualFree(memory, 0, MEM_RELEASE); }
void ask_for_huge_pages(void*, std::size_t) {}

// Memory is promised to a process when it is mapped, so what may still be promised is the limit, page files included.
std::optional<std::int64_t> available_memory(const std::string&) {
  MEMORYSTATUSEX status = {};
  status.dwLength = sizeof status;
  if (!::GlobalMemoryStatusEx(&status)) return std::nullopt;
  return static_cast<std::int64_t>(status.ullAvailPageFile);
}

std::optional<std::int64_t> available_disk(const std::string& folder) {
  ULARGE_INTEGER bytes;
  if (!::GetDiskFreeSpaceExW(path_of(folder).c_str(), &bytes, nullptr, nullptr)) return std::nullopt;
  return static_cast<std::int64_t>(bytes.QuadPart);
}

// --- files

int open_to_read(const std::string& path) { return open_as(path, GENERIC_READ, OPEN_EXISTING, _O_RDONLY); }

int open_to_write(const std::string& path, bool) { return open_as(path, GENERIC_READ | GENERIC_WRITE, OPEN_EXISTING, _O_RDWR); }

int create_to_write(const std::string& path) { return open_as(path, GENERIC_READ | GENERIC_WRITE, CREATE_NEW, _O_RDWR); }

void copy_mode(const std::string&, int) {}

int duplicate(int file) { return ::_dup(file); }

void close(int file) { ::_close(file); }

std::optional<std::uint64_t> size_of_regular(int file) {
  struct _stat64 status;
  if (::_fstat64(file, &status) != 0) return std::nullopt;
  errno = 0;
  return (status.st_mode & _S_IFREG) != 0 ? std::optional(static_cast<std::uint64_t>(status.st_size)) : std::nullopt;
}

std::ptrdiff_t write(int file, std::span<const std::byte> bytes) { return ::_write(file, bytes.data(), one_call(bytes.size())); }

std::ptrdiff_t read_at(int file, std::span<std::byte> bytes, std::uint64_t offset) {
  if (::_lseeki64(file, static_cast<std::int64_t>(offset), SEEK_SET) < 0) return -1;
  return ::_read(file, bytes.data(), one_call(bytes.size()));
}

bool sync(int file) { return ::_commit(file) == 0; }

// A locked range cannot be read by others either, so what is locked is a byte that no file has.
bool lock(int file, bool is_shared) {
  OVERLAPPED where = {};
  where.OffsetHigh = 0x40000000;
  return done(::LockFileEx(handle_of(file), LOCKFILE_FAIL_IMMEDIATELY | (is_shared ? 0 : LOCKFILE_EXCLUSIVE_LOCK), 0, 1, 0, &where));
}

void unlock(int file) {
  OVERLAPPED where = {};
  where.OffsetHigh = 0x40000000;
  ::UnlockFileEx(handle_of(file), 0, 1, 0, &where);
}

bool has_name(int file) {
  FILE_STANDARD_INFO info;
  return ::GetFileInformationByHandleEx(handle_of(file), FileStandardInfo, &info, sizeof info) && !info.DeletePending;
}

bool rename_over(const std::string& from, const std::string& to) { return move_file(from, to, MOVEFILE_REPLACE_EXISTING); }
bool rename_new(const std::string& from, const std::string& to) { return move_file(from, to, 0); }
void remove(const std::string& path) { ::DeleteFileW(path_of(path).c_str()); }
void read_soon(int, std::uint64_t, std::uint64_t) {}
void sync_folder(const std::string&) {}  // MOVEFILE_WRITE_THROUGH has done it

std::filesystem::path path_of(const std::string& utf8) { return std::u8string(utf8.begin(), utf8.end()); }

std::string utf8_of(const std::filesystem::path& path) {
  const std::u8string utf8 = path.u8string();
  return {utf8.begin(), utf8.end()};
}

// --- files in memory

bool set_size(int, std::int64_t) { return not_here<bool>(); }
bool write_at(int, std::span<const std::byte>, std::int64_t) { return not_here<bool>(); }
void* map_file(int, std::int64_t, std::size_t, bool) { return not_here<void*>(); }
bool sync_mapped(void*, std::size_t) { return not_here<bool>(); }
bool reserve(int, std::int64_t, std::int64_t) { return not_here<bool>(); }
void punch(int, std::int64_t, std::int64_t) noexcept {}
bool are_same(int, const std::string&) { return not_here<bool>(); }

// --- processor, processes and threads

bool has_avx2() { return ::IsProcessorFeaturePresent(40) != 0; }    // PF_AVX2_INSTRUCTIONS_AVAILABLE, which older headers lack
bool has_avx512() { return ::IsProcessorFeaturePresent(41) != 0; }  // PF_AVX512F_...: no Windows runs on those that have F alone

std::int64_t process_id() { return static_cast<std::int64_t>(::GetCurrentProcessId()); }
void at_fork(void (*)(), void (*)(), void (*)()) {}
std::size_t num_processors() { return std::max(std::thread::hardware_concurrency(), 1u); }
void without_signals(const std::function<void()>& start) { start(); }
void yield_to_wakers() {}

}  // namespace mujigae::system
