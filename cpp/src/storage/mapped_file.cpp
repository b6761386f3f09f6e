#include "mujigae/storage/mapped_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "mujigae/check.hpp"
#include "mujigae/replay/snapshot.hpp"
#include "mujigae/storage/system.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kAlignment = 1 << 16, kRecordAlignment = 1 << 14;  // the largest page
constexpr std::size_t kMaxParts = 16;
constexpr std::uint32_t kMeta = section_tag("META"), kLive = section_tag("LIVE");

// Everything in the header but META takes 184 bytes.
std::int64_t header_bytes(const std::string& meta) { return round_up_to(kAlignment, static_cast<std::int64_t>(meta.size()) + 512); }

void check_can_map(const std::string& path) {
  if (!system::kCanMapFiles) fail_value("path: expected None, as this system keeps buffers in memory only, got ", path);
}

}  // namespace

struct MappedFile::Record {  // then the words
  std::uint32_t crc, is_closed;
  std::uint64_t generation;
};

MappedFile::MappedFile(const std::string& path) : path_(path), process_(system::process_id()) {}

std::unique_ptr<MappedFile> MappedFile::create(const std::string& path, const std::string& meta) {
  check_can_map(path);
  std::unique_ptr<MappedFile> file(new MappedFile(path));
  std::error_code unknown;  // creating the file will say why
  if (std::filesystem::exists(std::filesystem::symlink_status(system::path_of(path), unknown))) {
    errno = EEXIST;
    fail_system("path: expected a new file (an existing one is opened by load), got " + path);
  }
  file->aside_.emplace(path);
  file->meta_ = meta;
  file->size_ = header_bytes(meta);
  return file;
}

std::unique_ptr<MappedFile> MappedFile::open(const std::string& path, const std::string& meta, Changes changes) {
  check_can_map(path);
  std::unique_ptr<MappedFile> file(new MappedFile(path));
  file->changes_ = changes;
  const bool is_copy = changes == Changes::kCopy;
  file->file_ = Descriptor(is_copy ? system::open_to_read(path) : system::open_to_write(path, true));
  if (!file->file_) fail_system("cannot open " + path);
  if (!system::lock(*file->file_, is_copy)) {
    fail_system(errno == EWOULDBLOCK ? "path: expected a file that no other buffer or process has open, got " + path
                                     : "cannot lock " + path);
  }
  file->read_header(meta);
  file->size_ = header_bytes(meta);
  file->had_name_ = system::has_name(*file->file_);
  return file;
}

MappedFile::~MappedFile() {
  for (const Part& part : parts_) system::unmap_memory(part.memory, static_cast<std::size_t>(part.bytes));
  if (file_ && is_owner()) system::unlock(*file_);  // which processes forked meanwhile would keep
}

void MappedFile::read_header(const std::string& meta) {
  SnapshotReader reader(*file_, path_);
  const std::vector<char> found = reader.section<char>(kMeta);
  if (std::string(found.begin(), found.end()) != meta) reader.fail("another description of the buffer than when the file was opened");
  part_bytes_ = reader.section<std::int64_t>(kLive, kMaxParts);
  std::int64_t size = header_bytes(meta);
  for (const std::int64_t bytes : part_bytes_) {
    if (bytes < 0 || bytes > (std::int64_t{1} << 62) - size) reader.fail("a part of an impossible size");
    size += round_up_to(kAlignment, bytes);
  }
  if (static_cast<std::int64_t>(reader.size()) != size) {
    reader.fail(concat("the file has ", reader.size(), " bytes, expected ", size));
  }
}

void MappedFile::write_header() {
  std::vector<std::int64_t> sizes(kMaxParts);
  for (std::size_t i = 0; i < parts_.size(); ++i) sizes[i] = parts_[i].bytes;
  SnapshotWriter header;
  header.section(kMeta, std::span<const char>(meta_));
  header.section(kLive, std::span<const std::int64_t>(sizes));
  if (!system::write_at(descriptor(), header.bytes(), 0)) fail_system("cannot write " + path_);
}

// --- parts

std::byte* MappedFile::map_part(std::int64_t bytes, bool is_reserved) {
  bytes = std::max<std::int64_t>(bytes, 1);
  if (parts_.size() == kMaxParts) throw std::logic_error("too many parts");
  const std::int64_t end = size_ + round_up_to(kAlignment, bytes);
  if (is_new()) {
    if (!system::set_size(descriptor(), end)) fail_system(concat("cannot make ", path_, " ", end, " bytes long"));
  } else if (bytes != part_bytes_[parts_.size()]) {
    fail(concat("a part of ", part_bytes_[parts_.size()], " bytes, expected ", bytes));
  }
  void* memory = system::map_file(descriptor(), size_, static_cast<std::size_t>(bytes), changes_ == Changes::kCopy);
  if (memory == nullptr) fail_system(concat("cannot map ", bytes, " bytes of ", path_));
  parts_.push_back({static_cast<std::byte*>(memory), size_, bytes});
  size_ = end;
  if (is_reserved) reserve(parts_.back().memory, bytes);
  return parts_.back().memory;
}

const MappedFile::Part& MappedFile::part_of(const std::byte* memory) const {
  return *std::find_if(parts_.begin(), parts_.end(),
                       [&](const Part& part) { return memory >= part.memory && memory < part.memory + part.bytes; });
}

std::int64_t MappedFile::offset_of(const std::byte* memory) const {
  const Part& part = part_of(memory);
  return part.offset + (memory - part.memory);
}

// A hole would be filled on the first touch, and a full disk would then end the process.
void MappedFile::reserve(std::byte* memory, std::int64_t bytes) {
  if (changes_ == Changes::kCopy) return;
  if (!system::reserve(descriptor(), offset_of(memory), bytes)) fail_system(concat("cannot reserve ", bytes, " bytes for ", path_));
}

void MappedFile::release(std::byte* memory, std::int64_t bytes) noexcept {
  if (bytes == 0 || changes_ == Changes::kCopy) return;
  // Where a file system cannot do this, the place stays taken until it is used again.
  system::punch(descriptor(), offset_of(memory), bytes);
}

void MappedFile::sync(const Part& part) const {
  if (!system::sync_mapped(part.memory, static_cast<std::size_t>(part.bytes))) fail_system("cannot sync " + path_);
}

// --- states

void MappedFile::map_states(std::int64_t num_words) {
  num_words_ = num_words;
  const std::int64_t bytes = static_cast<std::int64_t>(sizeof(Record)) + num_words * static_cast<std::int64_t>(sizeof(std::int64_t));
  map_part(2 * round_up_to(kRecordAlignment, bytes), true);
  for (const int which : {0, 1}) generation_ = std::max(generation_, generation(which).value_or(0));
}

std::byte* MappedFile::record(int which) const { return parts_.front().memory + which * (parts_.front().bytes / 2); }

std::optional<std::uint64_t> MappedFile::generation(int which) const {
  Record head;
  std::memcpy(&head, record(which), sizeof(head));
  const auto bytes = sizeof(head) + static_cast<std::size_t>(num_words_) * sizeof(std::int64_t);
  const bool is_intact = head.crc == crc32({record(which) + sizeof(head.crc), bytes - sizeof(head.crc)});
  return is_intact && head.generation > 0 ? std::optional(head.generation) : std::nullopt;
}

MappedFile::State MappedFile::read_state() const {
  const std::uint64_t first = generation(0).value_or(0), second = generation(1).value_or(0);
  if (first == 0 && second == 0) fail("neither record of the buffer's state is intact", record(0));
  const std::byte* newest = record(first > second ? 0 : 1);
  Record head;
  std::memcpy(&head, newest, sizeof(head));
  State state{head.is_closed != 0, std::vector<std::int64_t>(static_cast<std::size_t>(num_words_))};
  std::memcpy(state.words.data(), newest + sizeof(head), state.words.size() * sizeof(std::int64_t));
  return state;
}

void MappedFile::write_record(std::span<const std::int64_t> words, bool is_closed) {
  if (static_cast<std::int64_t>(words.size()) != num_words_) throw std::logic_error("a state of another length");
  const int older = generation(0).value_or(0) <= generation(1).value_or(0) ? 0 : 1;
  Record head{0, is_closed, ++generation_};
  std::vector<std::byte> bytes(sizeof(head) + words.size_bytes());
  std::memcpy(bytes.data(), &head, sizeof(head));
  std::memcpy(bytes.data() + sizeof(head), words.data(), words.size_bytes());
  head.crc = crc32(std::span<const std::byte>(bytes).subspan(sizeof(head.crc)));
  std::memcpy(bytes.data(), &head, sizeof(head));
  std::memcpy(record(older), bytes.data(), bytes.size());
  sync(parts_.front());
}

void MappedFile::flush(std::span<const std::int64_t> words, bool is_closed) {
  if (had_name_ && !system::has_name(*file_)) {
    errno = ENOENT;
    fail_system("path: the buffer's file was removed or replaced while it was open (save writes its rows elsewhere): " + path_);
  }
  for (std::size_t i = 1; i < parts_.size(); ++i) sync(parts_[i]);
  write_record(words, is_closed);
  if (is_closed) write_record(words, is_closed);
}

void MappedFile::publish(std::span<const std::int64_t> words) {
  write_header();
  flush(words, false);
  aside_->publish();
  file_ = aside_->release();
  had_name_ = true;
  aside_.reset();
}

// --- who and where

bool MappedFile::is_owner() const { return system::process_id() == process_; }

void MappedFile::check_owner() const {
  if (is_owner()) return;
  throw std::runtime_error(
      concat("this buffer's file ", path_, " belongs to process ", process_, ": in a fork, load a snapshot of it (save) instead"));
}

bool MappedFile::is_at(const std::string& path) const { return system::are_same(*file_, path); }

void MappedFile::fail(const std::string& what) const { throw SnapshotError(concat(path_, ": ", what)); }

void MappedFile::fail(const std::string& what, const void* memory) const {
  fail(concat(what, " (at byte ", offset_of(static_cast<const std::byte*>(memory)), ")"));
}

}  // namespace mujigae
