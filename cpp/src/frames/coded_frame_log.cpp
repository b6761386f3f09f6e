#include "mujigae/frames/coded_frame_log.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>
#include <utility>

#include "mujigae/storage/crc32.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kChecksumBytes = sizeof(std::uint32_t), kOffsetBits = 32;

// A step and an entry: an entry follows only a step that takes at most 7/8 of it.
std::int64_t max_record_bytes(std::int64_t frame_bytes) { return 2 * FrameEncoder::max_part_bytes(frame_bytes) + kChecksumBytes; }

}  // namespace

CodedFrameLog::CodedFrameLog(std::int64_t frame_bytes, std::int64_t row_bytes, std::int64_t num_recent, std::int64_t num_frames_hint,
                             PagePool* pool)
    : FrameLog(frame_bytes),
      row_bytes_(row_bytes),
      num_recent_(std::max<std::int64_t>(num_recent, 2)),  // the frame before stays there while the next one is encoded
      record_bytes_(max_record_bytes(frame_bytes)),
      records_per_chunk_(std::clamp<std::int64_t>(num_frames_hint / 512, 4, std::max<std::int64_t>((2 << 20) / record_bytes_, 4))),
      chunks_(records_per_chunk_ * record_bytes_, pool),
      addresses_(sizeof(std::int64_t), num_frames_hint, pool),
      encoder_(frame_bytes, row_bytes),
      recent_(num_recent_ * slot_bytes()),
      key_(static_cast<std::size_t>(frame_bytes)) {
  record_.reserve(static_cast<std::size_t>(record_bytes_));
}

// --- Writing

void CodedFrameLog::reserve(std::int64_t num_frames) {
  if (num_frames <= 0) return;
  addresses_.reserve(num_frames);
  const std::int64_t num_here = (records_per_chunk_ * record_bytes_ - offset_) / record_bytes_;
  chunks_.reserve(chunk_ + 1 + num_chunks(std::max<std::int64_t>(num_frames - num_here, 0)));
}

std::int64_t CodedFrameLog::append(const std::byte* callers_frame) {
  reserve(1);
  const std::byte* const frame = remember(callers_frame);
  const auto put = [this](std::span<const std::byte> part) {
    record_.insert(record_.end(), part.begin(), part.end());
    return FramePart::at(part).needs_base();
  };
  record_.clear();
  const bool needs_frame_before = put(encoder_.encode(frame, end_ > addresses_.begin() ? recent(end_ - 1) : nullptr));
  if (needs_frame_before && end_ % kEntryPeriod == 0) {
    const std::int64_t group = group_of(end_);
    put(encoder_.encode(frame, group < end_ && group >= addresses_.begin() ? key_.data() : nullptr));
  }
  put_record(end_);
  return end_++;
}

void CodedFrameLog::put_record(std::int64_t position) {
  if (chunks_.is_in_file()) {
    const std::uint32_t sum = checksum(position, record_);
    const auto bytes = std::as_bytes(std::span(&sum, 1));
    record_.insert(record_.end(), bytes.begin(), bytes.end());
  }
  const auto size = static_cast<std::int64_t>(record_.size());
  if (size > records_per_chunk_ * record_bytes_ - offset_) {
    ++chunk_;
    offset_ = 0;
  }
  std::memcpy(chunks_[chunk_] + offset_, record_.data(), record_.size());
  const std::int64_t address = chunk_ << kOffsetBits | offset_;
  addresses_.append(reinterpret_cast<const std::byte*>(&address));
  offset_ += size;
}

// As the frame at end_; the frames before it stay. -> our copy of it
const std::byte* CodedFrameLog::remember(const std::byte* frame) {
  const auto bytes = static_cast<std::size_t>(frame_bytes_);
  std::byte* const ours = recent_.get() + offset_of(end_);
  std::memcpy(ours, frame, bytes);
  if (end_ % kGroup == 0) std::memcpy(key_.data(), ours, bytes);
  return ours;
}

void CodedFrameLog::drop_before(std::int64_t position) {
  begin_ = std::clamp(position, begin_, end_);
  addresses_.drop_before(group_of(begin_));
  chunks_.drop_before(addresses_.begin() < end_ ? address(addresses_.begin()) >> kOffsetBits : chunk_);
}

void CodedFrameLog::restart_at(std::int64_t position) {
  begin_ = end_ = first_intact_ = position;
  addresses_.restart_at(position);
  chunk_ += offset_ > 0 ? 1 : 0;
  offset_ = 0;
  chunks_.restart_at(chunk_);
}

void CodedFrameLog::clear() { restart_at(group_of(end_ + kGroup - 1)); }

// --- Reading

std::int64_t CodedFrameLog::address(std::int64_t position) const {
  std::int64_t address;
  std::memcpy(&address, addresses_[position], sizeof(address));
  return address;
}

std::span<const std::byte> CodedFrameLog::record_at(std::int64_t position) const {
  const std::int64_t where = address(position), chunk = where >> kOffsetBits, offset = where & 0xffffffff;
  const std::int64_t chunk_bytes = records_per_chunk_ * record_bytes_;
  if (chunk < chunks_.first() || chunk >= chunks_.end() || offset > chunk_bytes) return {};  // in a damaged file
  return {chunks_[chunk] + offset, static_cast<std::size_t>(chunk_bytes - offset)};
}

// The step again, if it needs no frame before.
FramePart CodedFrameLog::entry_at(std::int64_t position) const {
  const std::span<const std::byte> record = record_at(position);
  const FramePart step = FramePart::at(record);
  return step.is_valid() && step.needs_base() ? FramePart::at(record.subspan(static_cast<std::size_t>(step.end - record.data()))) : step;
}

void CodedFrameLog::read(std::int64_t position, std::int64_t count, std::byte* out, const std::byte* before) const {
  if (!try_read(position, count, out, before)) throw std::logic_error("a frame that cannot be decoded");
}

bool CodedFrameLog::try_read(std::int64_t position, std::int64_t count, std::byte* out, const std::byte* before) const {
  if (count == 0) return true;
  if (before == nullptr ? !read_alone(position, out) : !read_step(position, before, out)) return false;
  for (std::int64_t i = 1; i < count; ++i) {
    const std::byte* last = out;
    out += frame_bytes_;
    if (!read_step(position + i, last, out)) return false;
  }
  return true;
}

bool CodedFrameLog::read_step(std::int64_t position, const std::byte* before, std::byte* out) const {
  return decode(step_at(position), before, row_bytes_, {out, static_cast<std::size_t>(frame_bytes_)});
}

bool CodedFrameLog::read_entry(std::int64_t position, std::byte* out, std::byte* scratch) const {
  const FramePart entry = entry_at(position);
  if (entry.needs_base()) {
    const FramePart key = entry_at(group_of(position));
    if (key.needs_base() || !decode(key, nullptr, row_bytes_, {scratch, static_cast<std::size_t>(frame_bytes_)})) return false;
  }
  return decode(entry, scratch, row_bytes_, {out, static_cast<std::size_t>(frame_bytes_)});
}

// Where decoding has to start for the frame at `position`.
std::int64_t CodedFrameLog::start_before(std::int64_t position) const {
  const std::int64_t entry = std::max(position / kEntryPeriod * kEntryPeriod, addresses_.begin());
  while (position > entry && step_at(position).needs_base()) --position;
  return position;
}

// Two buffers in turns, so that the last frame comes to lie in `out`.
bool CodedFrameLog::read_alone(std::int64_t position, std::byte* out) const {
  thread_local Bytes scratch_bytes;
  if (scratch_bytes.size() < static_cast<std::size_t>(frame_bytes_)) scratch_bytes.resize(static_cast<std::size_t>(frame_bytes_));
  std::byte *to = out, *from = scratch_bytes.data();
  std::int64_t at = start_before(position);
  if ((position - at) % 2 != 0) std::swap(to, from);
  if (!read_entry(at, to, from)) return false;
  while (++at <= position) {
    std::swap(to, from);
    if (!read_step(at, from, to)) return false;
  }
  return true;
}

// --- In a snapshot

// The step of the frame at `begin`, as it would be without a frame before.
CodedFrameLog::Bytes CodedFrameLog::first_step() const {
  Bytes frame(static_cast<std::size_t>(frame_bytes_));
  read(begin_, 1, frame.data(), nullptr);
  FrameEncoder encoder(frame_bytes_, row_bytes_);
  const std::span<const std::byte> part = encoder.encode(frame.data(), nullptr);
  return {part.begin(), part.end()};
}

void CodedFrameLog::save(SnapshotWriter& writer) const {
  const Bytes first = begin_ < end_ ? first_step() : Bytes();
  std::uint64_t length = first.size();
  for (std::int64_t position = begin_ + 1; position < end_; ++position) length += step_at(position).bytes().size();
  writer.begin_section(section_tag("FRAM"), length);
  writer.write(first);
  for (std::int64_t position = begin_ + 1; position < end_; ++position) writer.write(step_at(position).bytes());
  writer.end_section();
}

void CodedFrameLog::load(SnapshotReader& reader, std::int64_t max_frames) {
  const auto section = reader.section<std::byte>(section_tag("FRAM"));
  Bytes frame(static_cast<std::size_t>(section.empty() ? 0 : frame_bytes_));
  for (std::span<const std::byte> left = section; !left.empty();) {
    if (end_ - begin_ == max_frames) reader.fail("more frames than the lane refers to");
    const FramePart step = FramePart::at(left);
    if (!decode(step, end_ > begin_ ? recent(end_ - 1) : nullptr, row_bytes_, frame)) reader.fail("a frame that cannot be decoded");
    append(frame.data());
    left = left.subspan(step.bytes().size());
  }
}

// --- In a file: a checksum of the position and the record behind each record

std::int64_t CodedFrameLog::file_bytes(std::int64_t max_frames) const {
  return max_chunks(max_frames) * Chunks::slot_bytes(records_per_chunk_ * record_bytes_) + addresses_.file_bytes(max_frames + kGroup);
}

void CodedFrameLog::put_in(MappedFile& file, std::byte* begin, std::int64_t max_frames) {
  chunks_.put_in({&file, begin, max_chunks(max_frames)}, records_per_chunk_ * record_bytes_);
  addresses_.put_in(file, begin + file_bytes(max_frames) - addresses_.file_bytes(max_frames + kGroup), max_frames + kGroup);
}

std::uint32_t CodedFrameLog::checksum(std::int64_t position, std::span<const std::byte> record) const {
  return crc32(record, crc32(std::as_bytes(std::span(&position, 1))));
}

// Of the record without its checksum.
const std::byte* CodedFrameLog::record_end(std::int64_t position) const {
  const FramePart step = step_at(position);
  const bool has_entry = step.is_valid() && step.needs_base() && position % kEntryPeriod == 0;
  return has_entry ? entry_at(position).end : step.end;
}

bool CodedFrameLog::is_intact(std::int64_t position) const {
  const std::span<const std::byte> record = record_at(position);
  const std::byte* end = record_end(position);
  if (end == nullptr || record.data() + record.size() - end < kChecksumBytes) return false;
  std::uint32_t written;
  std::memcpy(&written, end, sizeof(written));
  return written == checksum(position, {record.data(), end});
}

// A frame is accepted if its group is intact: a frame that was overwritten since the flush had been dropped together with its group.
bool CodedFrameLog::adopt(std::int64_t begin, std::int64_t end) {
  if (!addresses_.adopt(group_of(begin), end)) return false;
  begin_ = begin;
  end_ = first_intact_ = end;
  const std::int64_t first = addresses_.first_intact();
  const std::int64_t first_chunk = first < end ? address(first) >> kOffsetBits : 0;
  chunk_ = first < end ? address(end - 1) >> kOffsetBits : 0;
  if (first_chunk < 0 || chunk_ < first_chunk || !chunks_.adopt(first_chunk, chunk_ + 1)) return false;
  while (first_intact_ > first && is_intact(first_intact_ - 1)) --first_intact_;
  first_intact_ = std::min(group_of(first_intact_ + kGroup - 1), end);
  if (first_intact_ < end && !recall()) first_intact_ = end;
  return true;
}

// The newest frames, and where the next record goes.
bool CodedFrameLog::recall() {
  const std::int64_t end = end_;
  Bytes frame(static_cast<std::size_t>(frame_bytes_));
  bool is_readable = true;
  for (end_ = std::max(first_intact_, std::min(group_of(end - 1), end - num_recent_)); end_ < end; ++end_) {
    is_readable = is_readable && try_read(end_, 1, frame.data(), nullptr);
    remember(frame.data());
  }
  offset_ = record_end(end - 1) + kChecksumBytes - chunks_[chunk_];
  return is_readable;
}

std::int64_t CodedFrameLog::nbytes() const {
  return chunks_.nbytes() + addresses_.nbytes() + encoder_.nbytes() + num_recent_ * slot_bytes() +
         static_cast<std::int64_t>(record_.capacity() + key_.size());
}

}  // namespace mujigae
