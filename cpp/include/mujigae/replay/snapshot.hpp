// The one file format for saved state: versioned, checksummed, written completely or not at all, free of anything executable.
//
//   "MUJIGAE\n"  u32 version  u32 crc of these 12 bytes
//   then sections:  u32 tag  u64 length  u32 crc of tag and length  payload  u32 crc of the payload
//   the last section is END, of length 0, and the file ends with it
//
// Integers are little-endian. The Writer writes beside the target, syncs and renames: a failure leaves the old file. Both work on
// memory too. The Reader checks each length against the file before it allocates, and each checksum before it hands a payload out.
// A damaged or foreign file is a SnapshotError that says what is wrong and at which byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "mujigae/storage/aside_file.hpp"
#include "mujigae/storage/crc32.hpp"

namespace mujigae {

class SnapshotError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr std::uint32_t section_tag(const char (&name)[5]) {
  std::uint32_t tag = 0;
  for (int i = 3; i >= 0; --i) tag = tag << 8 | static_cast<unsigned char>(name[i]);
  return tag;
}

class SnapshotWriter {
 public:
  static constexpr std::uint32_t kVersion = 2;
  static constexpr std::size_t kPieceBytes = 16 << 20;  // in memory

  SnapshotWriter();                                  // into memory
  explicit SnapshotWriter(const std::string& path);  // throws std::system_error when the file cannot be written

  void begin_section(std::uint32_t tag, std::uint64_t length);
  void write(std::span<const std::byte> bytes);
  void end_section();
  void commit();  // END; a file: sync, rename, sync the folder. Without it the file beside the target goes
  const std::vector<std::byte>& bytes() const { return buffer_; }  // in memory: the newest piece
  std::vector<std::vector<std::byte>> take_pieces();              // ... all; none is larger than kPieceBytes

  template <class T>
  void write_values(std::span<const T> values) {
    write(std::as_bytes(values));
  }
  template <class T>
  void section(std::uint32_t tag, std::span<const T> values) {
    begin_section(tag, values.size_bytes());
    write_values(values);
    end_section();
  }

 private:
  void put(std::span<const std::byte> bytes);
  void put_head();
  void begin_piece();
  void flush();

  std::optional<AsideFile> file_;
  std::vector<std::vector<std::byte>> pieces_;  // in memory: before the buffer
  std::vector<std::byte> buffer_;
  std::uint32_t crc_ = 0;
  std::uint64_t left_ = 0;
};

class SnapshotReader {
 public:
  explicit SnapshotReader(const std::string& path);
  explicit SnapshotReader(std::span<const std::byte> memory) : SnapshotReader(std::vector{memory}) {}  // which outlives it
  explicit SnapshotReader(std::vector<std::span<const std::byte>> pieces);  // one after the other
  SnapshotReader(int file, const std::string& path);           // an open file, which stays open

  // The next section, which must be this one. Its payload is read by the calls below and checked by end_section.
  std::uint64_t begin_section(std::uint32_t tag);
  void read(std::span<std::byte> bytes);
  void end_section();
  void finish();  // END, and nothing after it
  bool next_is(std::uint32_t tag);
  std::uint64_t size() const { return size_; }

  template <class T>
  std::vector<T> section(std::uint32_t tag) {
    const std::uint64_t length = begin_section(tag);
    if (length % sizeof(T) != 0) fail("a section of a length that is no multiple of its elements");
    std::vector<T> values(static_cast<std::size_t>(length / sizeof(T)));
    read(std::as_writable_bytes(std::span(values)));
    end_section();
    return values;
  }
  template <class T>
  std::vector<T> section(std::uint32_t tag, std::size_t num_values) {
    std::vector<T> values = section<T>(tag);
    if (values.size() != num_values) fail("a section of another length than the sections before it say");
    return values;
  }

  [[noreturn]] void fail(const std::string& what) const;

 private:
  void read_head();
  void get(std::span<std::byte> bytes);
  void get_from_memory(std::span<std::byte> bytes);

  std::string path_;
  Descriptor file_;
  std::vector<std::span<const std::byte>> pieces_;
  std::vector<std::uint64_t> piece_ends_;
  std::uint64_t size_ = 0, position_ = 0, left_ = 0, read_soon_ = 0;  // read_soon_: where what the disk reads ahead ends
  std::uint32_t crc_ = 0;
};

}  // namespace mujigae
