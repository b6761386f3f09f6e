// The file behind a file-backed buffer: its memory, mapped; and a record of its state, so written that one is always intact.
//
//   | header | states | part | part | ...          every part begins at a multiple of 64 KiB (any page size)
//
//   header   that of a snapshot, META, and LIVE: the sizes of all parts
//   states   two records, written in turn:  u32 crc of the rest  u32 is_closed  u64 generation  int64 words
//   part     plain memory, zero at first. It is sparse: what is not reserved has no place on the disk, and must not be touched
//
// The file is locked as long as it is open, and belongs to the process that opened it: a forked process must not touch it.
// Opened with kCopy, it is read and never written: changes stay in this process's memory, and others may look at it too.
// A system that cannot map files (system.hpp) refuses `path` with std::invalid_argument. Errors of the system are std::system_error, a file that is damaged or no such file is a SnapshotError.
// Threads: none; the owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mujigae/storage/aside_file.hpp"
#include "mujigae/storage/descriptor.hpp"

namespace mujigae {

constexpr std::int64_t round_up_to(std::int64_t multiple, std::int64_t value) { return (value + multiple - 1) / multiple * multiple; }

class MappedFile {
 public:
  struct State {
    bool is_closed;  // nothing has changed since
    std::vector<std::int64_t> words;
  };

  enum class Changes { kKept, kCopy };  // what is written to the parts: kept in the file, or in memory only

  // A new file, which exists from publish() on; EEXIST if there is one. meta: the description that it begins with.
  static std::unique_ptr<MappedFile> create(const std::string& path, const std::string& meta);
  // One of which the description is known.
  static std::unique_ptr<MappedFile> open(const std::string& path, const std::string& meta, Changes changes = Changes::kKept);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // First the states, then the parts in the same order each time. Reserved: its place on the disk is taken at once.
  void map_states(std::int64_t num_words);
  std::byte* map_part(std::int64_t bytes, bool is_reserved);
  void publish(std::span<const std::int64_t> words);  // new files: the first state, and the name
  State read_state() const;  // the newest that is intact; it has the number of words given above

  void reserve(std::byte* memory, std::int64_t bytes);  // throws when the disk is full
  void release(std::byte* memory, std::int64_t bytes) noexcept;  // zeros, and their place on the disk is free; in a copy nothing

  // Everything in the parts is on the disk, then a state that says so; is_closed: both records say it. ENOENT: the file is gone.
  void flush(std::span<const std::int64_t> words, bool is_closed);

  bool is_new() const { return aside_.has_value(); }
  bool is_owner() const;
  void check_owner() const;  // std::runtime_error in a fork
  bool is_at(const std::string& path) const;
  const std::string& path() const { return path_; }
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail(const std::string& what, const void* memory) const;  // the byte of a part

 private:
  struct Part {
    std::byte* memory;
    std::int64_t offset, bytes;
  };
  struct Record;

  explicit MappedFile(const std::string& path);

  int descriptor() const { return aside_ ? aside_->descriptor() : *file_; }
  void read_header(const std::string& meta);
  void write_header();
  const Part& part_of(const std::byte* memory) const;
  std::int64_t offset_of(const std::byte* memory) const;
  std::byte* record(int which) const;
  std::optional<std::uint64_t> generation(int which) const;  // of a record that is intact
  void write_record(std::span<const std::int64_t> words, bool is_closed);
  void sync(const Part& part) const;

  std::string path_, meta_;
  Changes changes_ = Changes::kKept;
  std::optional<AsideFile> aside_;
  Descriptor file_;
  bool had_name_ = false;  // a file in memory never has one
  std::int64_t process_;
  std::int64_t size_;  // of the parts mapped so far and what is before them
  std::vector<std::int64_t> part_bytes_;  // as an opened file has them
  std::vector<Part> parts_;
  std::int64_t num_words_ = 0;
  std::uint64_t generation_ = 0;
};

}  // namespace mujigae
