// What differs between operating systems, and nothing else: memory, files, locks, forks and threads.
//
//   system_posix.cpp      what Linux and macOS share
//   system_linux.cpp      the rest of Linux        system_macos.cpp      the rest of macOS, whose pages may have 16 KiB
//   system_windows.cpp    Windows, where no file can be mapped: kCanMapFiles is false, and what only mapped files need is missing
//
// Paths are UTF-8. A call that fails returns what its comment says and leaves the reason in errno.
// Threads: any, except where a file is shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace mujigae::system {

#if defined(_WIN32)
inline constexpr bool kCanMapFiles = false;
#else
inline constexpr bool kCanMapFiles = true;
#endif

// --- memory

void* map_memory(std::size_t bytes);  // zeros, which cost nothing until they are touched; nullptr: there is no such memory
void unmap_memory(void* memory, std::size_t bytes);
void ask_for_huge_pages(void* memory, std::size_t bytes);  // no is an answer too

// Bytes that the process may still take, or that are free on the disk of a folder. Nothing: it cannot be said.
std::optional<std::int64_t> available_memory(const std::string& root);  // root: "", in tests the folder with the system's files
std::optional<std::int64_t> available_disk(const std::string& folder);

// --- files: a number, or -1. None of them is inherited by another program, and opening never waits for a writer.

int open_to_read(const std::string& path);
int open_to_write(const std::string& path, bool follows_links);
int create_to_write(const std::string& path);  // EEXIST if there is one
void copy_mode(const std::string& path, int file);  // who may read and write it, if it is there and the system can
int duplicate(int file);
void close(int file);

std::optional<std::uint64_t> size_of_regular(int file);  // nothing: not a regular file (errno 0), or unknown
std::ptrdiff_t write(int file, std::span<const std::byte> bytes);                           // how many were written, or -1
std::ptrdiff_t read_at(int file, std::span<std::byte> bytes, std::uint64_t offset);        // how many were read, or -1
void read_soon(int file, std::uint64_t offset, std::uint64_t bytes);  // begins to read them from the disk, where the system can
bool sync(int file);                                                                        // false: what was written may be lost

// Of the open file as a whole, as long as it is open. False with EWOULDBLOCK: somebody else has it.
bool lock(int file, bool is_shared);
void unlock(int file);  // also for processes forked since, which have the same opening
bool has_name(int file);  // it has not been removed since it was opened

bool rename_over(const std::string& from, const std::string& to);  // a file of that name goes
bool rename_new(const std::string& from, const std::string& to);   // EEXIST if there is one
void remove(const std::string& path);
void sync_folder(const std::string& folder);  // the names in it; as far as the system can
std::filesystem::path path_of(const std::string& utf8);
std::string utf8_of(const std::filesystem::path& path);

// --- files in memory, where kCanMapFiles

bool set_size(int file, std::int64_t bytes);
bool write_at(int file, std::span<const std::byte> bytes, std::int64_t offset);  // all of them
void* map_file(int file, std::int64_t offset, std::size_t bytes, bool is_copy);  // is_copy: changes stay in memory; nullptr: no
bool sync_mapped(void* memory, std::size_t bytes);
bool reserve(int file, std::int64_t offset, std::int64_t bytes);         // its place on the disk
void punch(int file, std::int64_t offset, std::int64_t bytes) noexcept;  // gives that place back, where the file system can
bool are_same(int file, const std::string& path);

// --- processor, processes and threads

bool has_avx2();    // the processor, with products of polynomials as all of them have, and the system keeps such registers
bool has_avx512();  // with the byte, word and short vector extensions

std::int64_t process_id();
void at_fork(void (*before)(), void (*in_parent)(), void (*in_child)());  // where there are forks
std::size_t num_processors();                                           // that this process may use; at least 1
void without_signals(const std::function<void()>& start);                // the threads that it starts get no signals
void yield_to_wakers();  // the calling thread lets whoever wakes it go on first, where the system can

}  // namespace mujigae::system
