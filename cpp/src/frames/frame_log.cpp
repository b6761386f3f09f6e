#include "mujigae/frames/frame_log.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "mujigae/storage/crc32.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kMaxChunkBytes = 32 << 20, kMinChunkBytes = 4096;

std::int64_t choose_frames_per_chunk(std::int64_t frame_bytes, std::int64_t num_frames_hint) {
  const std::int64_t share = num_frames_hint / 64;  // two partly filled chunks a lane waste about a thirtieth
  const std::int64_t largest = std::max<std::int64_t>(kMaxChunkBytes / frame_bytes, 1);
  const std::int64_t smallest = std::clamp<std::int64_t>(kMinChunkBytes / frame_bytes, 1, largest);
  return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(std::clamp(share, smallest, largest))));
}

// What is written next begins to load now: it was written long ago, and while the caller makes a step there is time for it.
void load_ahead(const std::byte* place, std::int64_t bytes) {
  constexpr std::int64_t kLine = 64, kMaxAhead = 8 << 10;  // more would push other things out of the nearest cache
  for (std::int64_t i = 0; i < std::min(bytes, kMaxAhead); i += kLine) __builtin_prefetch(place + i, 1);
}

}  // namespace

PlainFrameLog::PlainFrameLog(std::int64_t frame_bytes, std::int64_t num_frames_hint, PagePool* pool)
    : FrameLog(frame_bytes),
      frames_per_chunk_(choose_frames_per_chunk(frame_bytes, num_frames_hint)),
      chunk_shift_(std::countr_zero(static_cast<std::uint64_t>(frames_per_chunk_))),
      chunks_(frames_per_chunk_ * frame_bytes, pool) {}

void PlainFrameLog::reserve(std::int64_t num_frames) {
  if (num_frames > 0) chunks_.reserve(chunk_of(end_ + num_frames - 1) + 1);
}

std::int64_t PlainFrameLog::append(const std::byte* frame) {
  reserve(1);
  std::memcpy(at(end_), frame, static_cast<std::size_t>(frame_bytes_));
  if (chunks_.is_in_file()) {
    const std::uint32_t sum = checksum(end_);
    std::memcpy(checksum_at(end_), &sum, sizeof(sum));
  }
  if (run_length(end_) > 1) load_ahead(at(end_ + 1), frame_bytes_);
  return end_++;
}

void PlainFrameLog::drop_before(std::int64_t position) {
  begin_ = std::clamp(position, begin_, end_);
  chunks_.drop_before(chunk_of(begin_));
}

void PlainFrameLog::restart_at(std::int64_t position) {
  begin_ = end_ = position;
  chunks_.restart_at(chunk_of(position));
}

void PlainFrameLog::read(std::int64_t position, std::int64_t count, std::byte* out, const std::byte*) const {
  while (count > 0) {
    const std::int64_t run = std::min(run_length(position), count);
    std::memcpy(out, at(position), static_cast<std::size_t>(run * frame_bytes_));
    out += run * frame_bytes_;
    position += run;
    count -= run;
  }
}

// --- In a snapshot: one frame after the other

void PlainFrameLog::save(SnapshotWriter& writer) const {
  writer.begin_section(section_tag("FRAM"), static_cast<std::uint64_t>((end_ - begin_) * frame_bytes_));
  for (std::int64_t position = begin_; position < end_;) {
    const std::int64_t run = std::min(run_length(position), end_ - position);
    writer.write({at(position), static_cast<std::size_t>(run * frame_bytes_)});
    position += run;
  }
  writer.end_section();
}

void PlainFrameLog::load(SnapshotReader& reader, std::int64_t max_frames) {
  const std::uint64_t length = reader.begin_section(section_tag("FRAM"));
  const auto frame_bytes = static_cast<std::uint64_t>(frame_bytes_);
  if (length % frame_bytes != 0) reader.fail("a section that ends within a frame");
  if (length / frame_bytes > static_cast<std::uint64_t>(max_frames)) reader.fail("more frames than the lane refers to");
  for (auto left = static_cast<std::int64_t>(length / frame_bytes); left > 0;) {
    const std::int64_t run = std::min(run_length(end_), left);
    reserve(run);
    reader.read({at(end_), static_cast<std::size_t>(run * frame_bytes_)});
    end_ += run;
    left -= run;
  }
  reader.end_section();
}

// --- In a file: the frames of a chunk, then their checksums

std::int64_t PlainFrameLog::bytes_in_file() const {
  return frames_per_chunk_ * (frame_bytes_ + static_cast<std::int64_t>(sizeof(std::uint32_t)));
}

std::int64_t PlainFrameLog::file_bytes(std::int64_t max_frames) const {
  return num_file_slots(max_frames) * Chunks::slot_bytes(bytes_in_file());
}

void PlainFrameLog::put_in(MappedFile& file, std::byte* begin, std::int64_t max_frames) {
  chunks_.put_in({&file, begin, num_file_slots(max_frames)}, bytes_in_file());
}

std::byte* PlainFrameLog::checksum_at(std::int64_t position) const {
  const std::int64_t index = position & (frames_per_chunk_ - 1);
  return at(position - index) + frames_per_chunk_ * frame_bytes_ + index * static_cast<std::int64_t>(sizeof(std::uint32_t));
}

std::uint32_t PlainFrameLog::checksum(std::int64_t position) const {
  const std::uint32_t of_position = crc32(std::as_bytes(std::span(&position, 1)));
  return crc32({at(position), static_cast<std::size_t>(frame_bytes_)}, of_position);
}

bool PlainFrameLog::adopt(std::int64_t begin, std::int64_t end) {
  if (!chunks_.adopt(chunk_of(begin), end > begin ? chunk_of(end - 1) + 1 : chunk_of(begin))) return false;
  begin_ = begin;
  end_ = end;
  return true;
}

std::int64_t PlainFrameLog::first_intact() const {
  for (std::int64_t position = end_; position-- > begin_;) {
    std::uint32_t written;
    std::memcpy(&written, checksum_at(position), sizeof(written));
    if (written != checksum(position)) return position + 1;
  }
  return begin_;
}

}  // namespace mujigae
