#include "mujigae/replay/snapshot.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "mujigae/check.hpp"
#include "mujigae/storage/system.hpp"

namespace mujigae {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kReadBytes = 256 << 10;    // at a time
constexpr std::uint64_t kAheadBytes = 16 << 20;  // that the disk reads while those before are used

struct SectionHead {
  std::uint32_t tag;
  std::uint64_t length;

  std::array<std::byte, 12> bytes() const {
    std::array<std::byte, 12> out;
    std::memcpy(out.data(), &tag, 4);
    std::memcpy(out.data() + 4, &length, 8);
    return out;
  }
};

std::array<std::byte, 12> file_head(std::uint32_t version) {
  std::array<std::byte, 12> out;
  std::memcpy(out.data(), kMagic.data(), kMagic.size());
  std::memcpy(out.data() + kMagic.size(), &version, 4);
  return out;
}

std::string readable(std::uint32_t tag) {
  std::string text;
  for (int i = 0; i < 4; ++i) {
    const auto letter = static_cast<unsigned char>(tag >> (8 * i));
    text += letter >= 32 && letter < 127 ? static_cast<char>(letter) : '?';
  }
  return text;
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

// --- SnapshotWriter

SnapshotWriter::SnapshotWriter() { put_head(); }

SnapshotWriter::SnapshotWriter(const std::string& path) : file_(path) {
  buffer_.reserve(kBufferBytes);
  put_head();
}

void SnapshotWriter::put_head() {
  const auto head = file_head(kVersion);
  put(head);
  put(bytes_of(crc32(head)));
}

void SnapshotWriter::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t most = file_ ? kBufferBytes : kPieceBytes;
    if (buffer_.size() == most) file_ ? flush() : begin_piece();
    const std::size_t count = std::min(bytes.size(), most - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
  }
}

void SnapshotWriter::begin_piece() {
  pieces_.push_back(std::exchange(buffer_, {}));
  buffer_.reserve(kPieceBytes);
}

std::vector<std::vector<std::byte>> SnapshotWriter::take_pieces() {
  pieces_.push_back(std::exchange(buffer_, {}));
  return std::move(pieces_);
}

void SnapshotWriter::flush() {
  for (std::size_t written = 0; written < buffer_.size();) {
    const std::ptrdiff_t count = system::write(file_->descriptor(), std::span(buffer_).subspan(written));
    if (count < 0) fail_system("cannot write " + file_->name());
    written += static_cast<std::size_t>(count);
  }
  buffer_.clear();
}

void SnapshotWriter::begin_section(std::uint32_t tag, std::uint64_t length) {
  const auto head = SectionHead{tag, length}.bytes();
  put(head);
  put(bytes_of(crc32(head)));
  crc_ = 0;
  left_ = length;
}

void SnapshotWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > left_) throw std::logic_error("a snapshot section is longer than announced");
  left_ -= bytes.size();
  crc_ = crc32(bytes, crc_);
  put(bytes);
}

void SnapshotWriter::end_section() {
  if (left_ != 0) throw std::logic_error("a snapshot section is shorter than announced");
  put(bytes_of(crc_));
}

void SnapshotWriter::commit() {
  begin_section(section_tag("END "), 0);
  end_section();
  if (!file_) return;
  flush();
  file_->replace();
}

// --- SnapshotReader

SnapshotReader::SnapshotReader(const std::string& path) : path_(path), file_(system::open_to_read(path)) {
  if (!file_) fail_system("cannot open " + path);
  read_head();
}

SnapshotReader::SnapshotReader(int file, const std::string& path) : path_(path), file_(system::duplicate(file)) {
  if (!file_) fail_system("cannot open " + path);
  read_head();
}

SnapshotReader::SnapshotReader(std::vector<std::span<const std::byte>> pieces) : path_("a snapshot in memory"), pieces_(std::move(pieces)) {
  for (const auto& piece : pieces_) piece_ends_.push_back(size_ += piece.size());
  read_head();
}

void SnapshotReader::read_head() {
  if (file_) {
    const std::optional<std::uint64_t> size = system::size_of_regular(*file_);
    if (!size && errno != 0) fail_system("cannot read " + path_);
    if (!size) fail("not a regular file");
    size_ = *size;
  }
  std::array<std::byte, 12> head;
  if (size_ < head.size() + 4) fail("too short for a mujigae snapshot");
  get(head);
  if (std::memcmp(head.data(), kMagic.data(), kMagic.size()) != 0) fail("not a mujigae snapshot");
  std::uint32_t version, crc;
  std::memcpy(&version, head.data() + kMagic.size(), 4);
  get(std::as_writable_bytes(std::span(&crc, 1)));
  if (crc != crc32(head)) fail("the checksum of the header does not match");
  if (version != SnapshotWriter::kVersion) fail(concat("format version ", version, ", this build reads ", SnapshotWriter::kVersion));
}

void SnapshotReader::fail(const std::string& what) const { throw SnapshotError(concat(path_, ": ", what, " (at byte ", position_, ")")); }

void SnapshotReader::get(std::span<std::byte> bytes) {
  if (bytes.size() > size_ - position_) fail("the file ends too early");
  if (!file_) return get_from_memory(bytes);
  if (position_ + kAheadBytes >= read_soon_) {
    system::read_soon(*file_, read_soon_, 2 * kAheadBytes);
    read_soon_ += 2 * kAheadBytes;
  }
  while (!bytes.empty()) {
    const std::ptrdiff_t count = system::read_at(*file_, bytes, position_);
    if (count < 0) fail_system("cannot read " + path_);
    if (count == 0) fail("the file ends too early");
    position_ += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void SnapshotReader::get_from_memory(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const auto at = std::upper_bound(piece_ends_.begin(), piece_ends_.end(), position_) - piece_ends_.begin();
    const auto left = static_cast<std::size_t>(piece_ends_[static_cast<std::size_t>(at)] - position_);
    const std::span<const std::byte> piece = pieces_[static_cast<std::size_t>(at)].last(left);
    const std::size_t count = std::min(bytes.size(), left);
    std::memcpy(bytes.data(), piece.data(), count);
    position_ += count;
    bytes = bytes.subspan(count);
  }
}

bool SnapshotReader::next_is(std::uint32_t tag) {
  const std::uint64_t here = position_;
  std::uint32_t found = 0;
  if (size_ - position_ >= sizeof(found)) get(std::as_writable_bytes(std::span(&found, 1)));
  position_ = here;
  return found == tag;
}

std::uint64_t SnapshotReader::begin_section(std::uint32_t tag) {
  std::array<std::byte, 12> bytes;
  std::uint32_t crc;
  get(bytes);
  get(std::as_writable_bytes(std::span(&crc, 1)));
  if (crc != crc32(bytes)) fail("the checksum of a section's head does not match");
  SectionHead head;
  std::memcpy(&head.tag, bytes.data(), 4);
  std::memcpy(&head.length, bytes.data() + 4, 8);
  if (head.tag != tag) fail(concat("expected section '", readable(tag), "', got '", readable(head.tag), "'"));
  if (size_ - position_ < 4 || head.length > size_ - position_ - 4) {
    fail(concat("section '", readable(tag), "' claims ", head.length, " bytes, more than the file has"));
  }
  crc_ = 0;
  left_ = head.length;
  return head.length;
}

// In pieces: each is still in the cache when its checksum is computed.
void SnapshotReader::read(std::span<std::byte> bytes) {
  if (bytes.size() > left_) fail("a section is shorter than its contents");
  left_ -= bytes.size();
  while (!bytes.empty()) {
    const std::span<std::byte> piece = bytes.first(std::min(bytes.size(), kReadBytes));
    get(piece);
    crc_ = crc32(piece, crc_);
    bytes = bytes.subspan(piece.size());
  }
}

void SnapshotReader::end_section() {
  if (left_ != 0) fail("a section is longer than its contents");
  std::uint32_t crc;
  get(std::as_writable_bytes(std::span(&crc, 1)));
  if (crc != crc_) fail("the checksum of a section does not match");
}

void SnapshotReader::finish() {
  if (begin_section(section_tag("END ")) != 0) fail("the last section is not empty");
  end_section();
  if (position_ != size_) fail("bytes after the end");
}

}  // namespace mujigae
