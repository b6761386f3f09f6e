#include "mujigae/replay/row_ring.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>

#include "mujigae/check.hpp"
#include "mujigae/storage/crc32.hpp"

namespace mujigae {

RowRing::RowRing(std::int64_t capacity, std::int64_t num_lanes, std::int64_t spare_slots, std::int64_t action_bytes, std::int64_t num_obs,
                 MappedFile* file, std::span<const std::int64_t> extra_bytes)
    : action_bytes_(action_bytes), num_obs_(num_obs), extra_offsets_{action_bytes}, is_in_file_(file != nullptr) {
  for (const std::int64_t bytes : extra_bytes) extra_offsets_.push_back(extra_offsets_.back() + bytes);
  fields_.flags_at = checksum_at() + static_cast<std::int64_t>(sizeof(std::uint32_t));
  fields_.record_bytes = round_up_to(sizeof(double), fields_.flags_at + 1 + payload_bytes());
  for (std::int64_t e = 0; e < num_lanes; ++e) {
    const std::int64_t share = capacity / num_lanes + (e < capacity % num_lanes ? 1 : 0);
    lanes_.push_back({num_slots_, share, share + spare_slots});
    num_slots_ += share + spare_slots;
  }
  slot_bits_ = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(num_slots_ - 1)));
  const std::int64_t bytes = num_slots_ * fields_.record_bytes;
  records_ = Column<std::byte>(bytes, file ? file->map_part(bytes, true) : nullptr);
  fields_.records = records_.data();
}

std::int64_t RowRing::append(std::int64_t lane_index, double reward, std::uint8_t flags, const std::byte* action_bytes) {
  Lane& lane = lanes_[index(lane_index)];
  const std::int64_t slot = lane.slot(lane.next++);
  this->reward(slot) = reward;
  this->flags(slot) = flags;
  std::memcpy(action(slot), action_bytes, index(action_bytes_));
  seal({lane_index, lane.next - 1});
  if (flags != 0) lane.episode_start = lane.next;
  return slot;
}

void RowRing::interrupt(std::int64_t lane_index) {
  Lane& lane = lanes_[index(lane_index)];
  flags(lane.slot(lane.next - 1)) |= kInterrupted;
  seal({lane_index, lane.next - 1});
  lane.episode_start = lane.next;
}

std::uint32_t RowRing::right_checksum(const Row& row, std::uint8_t flags) const {
  const std::int64_t slot = lanes_[index(row.lane)].slot(row.row);
  const std::array<std::int64_t, 3> words = {row.row, std::bit_cast<std::int64_t>(reward(slot)), flags};
  std::uint32_t crc = crc32(std::as_bytes(std::span(words)));
  crc = crc32({action(slot), index(payload_bytes())}, crc);
  for (std::int64_t obs = 0; obs < num_obs_; ++obs) {
    const Stack& one = stack(obs, slot);
    const std::array<std::int64_t, 3> reference = {one.newest(), one.depth(), static_cast<std::int64_t>(one.padding())};
    crc = crc32(std::as_bytes(std::span(reference)), crc);
  }
  return crc;
}

void RowRing::seal(const Row& row) {
  if (!is_in_file_) return;
  const std::int64_t slot = lanes_[index(row.lane)].slot(row.row);
  checksum(slot) = right_checksum(row, flags(slot));
}

// An interruption changes the flags and then the checksum of a row that may be on the disk: possibly only one of the two has reached it.
bool RowRing::is_intact(const Row& row, bool may_be_interrupted) const {
  const std::int64_t slot = lanes_[index(row.lane)].slot(row.row);
  const std::uint8_t flags = this->flags(slot);
  if (!may_be_interrupted) return checksum(slot) == right_checksum(row, flags);
  return (flags & ~kInterrupted) == 0 && (checksum(slot) == right_checksum(row, 0) || checksum(slot) == right_checksum(row, kInterrupted));
}

void RowRing::reopen_episode(std::int64_t lane_index) {
  const Lane& lane = lanes_[index(lane_index)];
  flags(lane.slot(lane.next - 1)) = 0;
  seal({lane_index, lane.next - 1});
}

void RowRing::clear() {
  for (Lane& lane : lanes_) {
    lane.first = lane.episode_start = lane.issued_end = lane.next;
    lane.begins_episode = true;
  }
}

double RowRing::largest_reward() const {
  double largest = 0.0;
  for (const Lane& lane : lanes_) {
    for (std::int64_t row = lane.first; row < lane.next; ++row) largest = std::max(largest, std::abs(reward(lane.slot(row))));
  }
  return largest;
}

std::int64_t RowRing::num_ready(const Span& span) const {
  std::int64_t count = 0;
  for (const Lane& lane : lanes_) count += lane.num_ready(span);
  return count;
}

std::int64_t RowRing::lane_of(std::int64_t slot) const {
  if (lanes_.size() == 1) return 0;
  // The lanes with one row more come first; within each kind all lanes have the same number of slots.
  const Lane& large = lanes_.front();
  const std::int64_t small_slots = lanes_.back().slots;
  if (small_slots == large.slots) return slot / large.slots;
  const std::int64_t num_large = (num_slots() - num_lanes() * small_slots) / (large.slots - small_slots);
  const std::int64_t boundary = num_large * large.slots;
  return slot < boundary ? slot / large.slots : num_large + (slot - boundary) / small_slots;
}

void RowRing::KeyedRows::look_up(std::int64_t lane_index) {
  const Lane& lane = rows_.lane(lane_index);
  lane_ = lane_index;
  offset_ = lane.offset;
  slots_ = lane.slots;
  newest_ = lane.epochs.back();
  generation_of_first_ = lane.first / lane.slots;
  first_at_ = lane.first % lane.slots;
}

RowRing::Row RowRing::row_of_key(std::int64_t key, std::size_t at) const {
  const std::int64_t slot = key & ((std::int64_t{1} << slot_bits_) - 1), generation = key >> slot_bits_;
  if (key < 0 || slot >= num_slots()) fail_index("key[", at, "]: expected a key of this buffer, got ", key);
  const std::int64_t e = lane_of(slot);
  const Lane& lane = lanes_[index(e)];
  std::int64_t end = INT64_MAX;  // of the epoch's rows
  for (std::size_t i = Lane::kMaxEpochs; i-- > 0; end = lane.epochs[i].first_row) {
    const std::int64_t row = (generation - lane.epochs[i].offset) * lane.slots + (slot - lane.offset);
    if (row >= lane.issued_end && end == INT64_MAX) fail_index("key[", at, "]: expected a key that was issued, got ", key);
    if (row < end && (row >= lane.epochs[i].first_row || i == 0)) return {e, row};
  }
  return {e, -1};  // of a row that was lost
}

bool RowRing::begin_epoch(std::int64_t lane_index) {
  constexpr std::int64_t kMaxLostRows = std::int64_t{1} << 40;  // added and drawn since the last flush
  Lane& lane = lanes_[index(lane_index)];
  const std::int64_t offset = lane.epochs.back().offset + kMaxLostRows / lane.slots + 3;  // held rows may get keys of this epoch
  if (lane.next / lane.slots + offset > max_generation()) return false;
  if (lane.epochs.back().first_row < lane.next) std::shift_left(lane.epochs.begin(), lane.epochs.end(), 1);
  lane.epochs.back() = {lane.next, offset};
  lane.issued_end = lane.next;
  return true;
}

bool RowRing::is_held(const Row& row) const {
  const Lane& lane = lanes_[index(row.lane)];
  return row.row >= lane.first && row.row < lane.next;
}

bool RowRing::is_ready(const Row& row, const Span& span) const {
  const Lane& lane = lanes_[index(row.lane)];
  return row.row >= lane.first && row.row < lane.ready_end(span);
}

Window RowRing::window(const Row& row, std::int64_t n_step, double gamma) const {
  const Lane& lane = lanes_[index(row.lane)];
  std::int64_t slot = lane.slot(row.row);
  return fields_.window(lane, slot, n_step, gamma);
}

std::int64_t RowRing::nbytes() const { return records_.nbytes() + num_lanes() * static_cast<std::int64_t>(sizeof(Lane)); }

}  // namespace mujigae
