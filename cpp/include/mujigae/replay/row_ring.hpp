// The rows of every lane (one lane per environment): rewards, actions, flags and the stacks that they refer to.
//
//   lane       rows  first ............ episode_start ..... next        counted from 0 for ever
//   slot = offset + row % slots         each lane owns `slots` neighbouring slots of the columns
//   key  = generation << slot_bits | slot      slot_bits: what num_slots needs; so keys last for 2^62 rows of any capacity
//   generation = row / slots + offset of the row's epoch: a key outlives its row, and shows that the row is gone
//
// An epoch begins where a file is reopened that was not closed. Keys of rows that were lost may be known; its offset is so much
// larger than the one before that they can never be issued again. At most kMaxEpochs are remembered: then the oldest keys go stale
// early, and their rows get those of the next epoch.
//
// A row can be drawn when the rows of its span (such as an n-step window) are there, or its episode has ended. In a lane these are
// the rows from `first` up to ready_end(span), without gaps. A lane holds at most `capacity` of them and evicts its own oldest row.
//
// A row is a record, whose length is a multiple of 8:
//
//   reward  float64 | stack of each observation  8 bytes each | checksum  uint32 | flags  uint8 | action | extras
//
// so a draw goes to memory once for it, and not once for every column. With one observation and an action of up to 8 bytes it takes
// 32 bytes, half a cache line. The records are memory that costs nothing until it is touched, or a part of a mapped file. There
// the checksum is of a row's number and contents, so that a row that never reached the disk, or was overwritten since, is detected.
//
// Everything is O(1) in the number of rows. Threads: none; the owner locks.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mujigae/storage/column.hpp"
#include "mujigae/frames/frame_ring.hpp"
#include "mujigae/storage/mapped_file.hpp"
#include "mujigae/replay/n_step.hpp"

namespace mujigae {

// Which rows around a start a view of it needs: up to `before` of those before it, as far as they are held, and `after` of those after
// it, or as many as its episode has. A row can be drawn when the latter are there.
struct Span {
  std::int64_t before = 0, after = 0;
};

struct Epoch {
  std::int64_t first_row = 0, offset = 0;  // what is added to the generations of the rows from it on
};

struct Lane {
  static constexpr std::size_t kMaxEpochs = 4;

  std::int64_t offset, capacity, slots;
  std::int64_t first = 0, next = 0, episode_start = 0;
  std::int64_t issued_end = 0;  // the rows before it could be drawn at some time: their keys may be known
  bool begins_episode = true;   // the oldest row held is the first of its episode
  std::array<Epoch, kMaxEpochs> epochs = {};  // oldest first; the first one has every row before it too

  std::int64_t epoch_offset(std::int64_t row) const {
    std::size_t e = kMaxEpochs - 1;
    while (e > 0 && row < epochs[e].first_row) --e;
    return epochs[e].offset;
  }

  std::int64_t num_held() const { return next - first; }
  bool has_open_episode() const { return episode_start < next; }
  std::int64_t slot(std::int64_t row) const { return offset + row % slots; }
  std::int64_t ready_end(const Span& span) const { return std::max({first, episode_start, next - span.after}); }
  std::int64_t num_ready(const Span& span) const { return ready_end(span) - first; }
};

class RowRing {
 public:
  static constexpr std::int64_t kStacksAt = sizeof(double);  // in a record
  enum Flag : std::uint8_t { kTerminated = 1, kTruncated = 2, kInterrupted = 4 };  // interrupted: reset behind our back
  static bool are_flags(std::uint8_t flags) { return flags == 0 || flags == kTerminated || flags == kTruncated || flags == kInterrupted; }
  struct Row {
    std::int64_t lane, row;
  };
  struct KeyedRow {
    Row row;
    std::int64_t key;
  };

  // Where the fields of the records lie. A loop that writes bytes keeps a copy of its own in registers; members it would load again.
  struct Fields {
    const std::byte* records = nullptr;
    std::int64_t record_bytes = 0, flags_at = 0;

    const std::byte* record(std::int64_t slot) const { return records + slot * record_bytes; }
    double reward(std::int64_t slot) const { return *reinterpret_cast<const double*>(record(slot)); }
    const Stack& stack(std::int64_t obs, std::int64_t slot) const { return reinterpret_cast<const Stack*>(record(slot) + kStacksAt)[obs]; }
    std::uint8_t flags(std::int64_t slot) const { return *reinterpret_cast<const std::uint8_t*>(record(slot) + flags_at); }
    const std::byte* payload(std::int64_t slot) const { return record(slot) + flags_at + 1; }  // the action, then the extras

    // The window of the row in `slot`, which becomes the slot of the window's last row.
    Window window(const Lane& lane, std::int64_t& slot, std::int64_t n_step, double gamma) const {
      std::int64_t next = slot;
      return n_step_window(n_step, gamma, [&](std::int64_t) {
        slot = next;
        next = slot + 1 == lane.offset + lane.slots ? lane.offset : slot + 1;
        return StepOutcome{reward(slot), (flags(slot) & kTerminated) != 0, flags(slot) != 0};
      });
    }
  };

  // Lane e owns capacity / num_lanes rows, one more for the first capacity % num_lanes, and `spare_slots` on top.
  RowRing(std::int64_t capacity, std::int64_t num_lanes, std::int64_t spare_slots, std::int64_t action_bytes, std::int64_t num_obs,
          MappedFile* file = nullptr, std::span<const std::int64_t> extra_bytes = {});

  // The stacks and extras of the row are written before.
  std::int64_t append(std::int64_t lane, double reward, std::uint8_t flags, const std::byte* action);  // -> slot
  void interrupt(std::int64_t lane);  // the open episode of the lane ended with its newest row
  void clear();

  double largest_reward() const;  // of the rows held, either way; O(N)
  std::int64_t num_ready(const Span& span) const;  // rows that can be drawn

  // The newest row that was written in a slot or will be (it may lie outside first..next), and its key. The lane of the last slot is
  // remembered, so that neighbouring slots cost one look-up; nothing may be added or evicted meanwhile.
  class KeyedRows {
   public:
    explicit KeyedRows(const RowRing& rows) : rows_(rows), slot_bits_(rows.slot_bits_) { look_up(0); }
    KeyedRow operator[](std::int64_t slot) {
      if (static_cast<std::uint64_t>(slot - offset_) >= static_cast<std::uint64_t>(slots_)) look_up(rows_.lane_of(slot));
      const std::int64_t at = slot - offset_, generation = generation_of_first_ + (at < first_at_ ? 1 : 0);
      const std::int64_t row = generation * slots_ + at;
      const std::int64_t offset = row >= newest_.first_row ? newest_.offset : rows_.lane(lane_).epoch_offset(row);
      return {{lane_, row}, (generation + offset) << slot_bits_ | slot};
    }

   private:
    void look_up(std::int64_t lane);

    const RowRing& rows_;
    int slot_bits_;
    Epoch newest_;
    std::int64_t lane_ = 0, offset_ = 0, slots_ = 0, generation_of_first_ = 0, first_at_ = 0;
  };
  KeyedRow keyed_row_in(std::int64_t slot) const { return KeyedRows(*this)[slot]; }
  Row row_in(std::int64_t slot) const { return keyed_row_in(slot).row; }
  std::int64_t key_of(std::int64_t slot) const { return keyed_row_in(slot).key; }
  // The row of a key, which may be long gone, or before every row; IndexError when it was never issued.
  Row row_of_key(std::int64_t key, std::size_t at) const;
  // After a kill: the rows from the lane's next one on get keys that no process before can have issued. False: none are left.
  bool begin_epoch(std::int64_t lane);
  std::int64_t max_generation() const { return (INT64_MAX >> slot_bits_) - 2; }
  bool is_held(const Row& row) const;
  bool is_ready(const Row& row, const Span& span) const;

  Window window(const Row& row, std::int64_t n_step, double gamma) const;
  // Begins to load the row in the slot and those after it into cache.
  [[gnu::always_inline]] void load_ahead(std::int64_t slot, const Span& span) const {
    const std::byte* const first = record(slot);
    const std::byte* const end = record(std::min(slot + span.after + 1, num_slots_));
    for (const std::byte* at = first; at < end; at += kLine) __builtin_prefetch(at);
    __builtin_prefetch(end - 1);
  }

  // In a file: whether the row is as it was written. The newest row of an open episode may have been interrupted since.
  bool is_intact(const Row& row, bool may_be_interrupted) const;
  void reopen_episode(std::int64_t lane);  // the newest row was not interrupted after all

  double& reward(std::int64_t slot) { return *reinterpret_cast<double*>(record(slot)); }
  double reward(std::int64_t slot) const { return fields_.reward(slot); }
  Stack& stack(std::int64_t obs, std::int64_t slot) { return reinterpret_cast<Stack*>(record(slot) + kStacksAt)[obs]; }
  const Stack& stack(std::int64_t obs, std::int64_t slot) const { return fields_.stack(obs, slot); }
  std::uint8_t& flags(std::int64_t slot) { return *reinterpret_cast<std::uint8_t*>(record(slot) + fields_.flags_at); }
  std::uint8_t flags(std::int64_t slot) const { return fields_.flags(slot); }
  std::byte* action(std::int64_t slot) { return record(slot) + fields_.flags_at + 1; }
  const std::byte* action(std::int64_t slot) const { return fields_.payload(slot); }
  const Fields& fields() const { return fields_; }

  // A field of a row that the user has added; all payload, action and extras, lies in one piece.
  std::byte* extra(std::size_t x, std::int64_t slot) { return action(slot) + extra_offsets_[x]; }
  const std::byte* extra(std::size_t x, std::int64_t slot) const { return action(slot) + extra_offsets_[x]; }

  Lane& lane(std::int64_t e) { return lanes_[index(e)]; }
  const Lane& lane(std::int64_t e) const { return lanes_[index(e)]; }
  std::int64_t num_lanes() const { return static_cast<std::int64_t>(lanes_.size()); }
  std::int64_t num_slots() const { return num_slots_; }
  std::int64_t num_obs() const { return num_obs_; }
  std::int64_t action_bytes() const { return action_bytes_; }
  std::size_t num_extras() const { return extra_offsets_.size() - 1; }
  std::int64_t extra_offset(std::size_t x) const { return extra_offsets_[x]; }  // from the action on
  std::int64_t extra_bytes(std::size_t x) const { return extra_offsets_[x + 1] - extra_offsets_[x]; }
  std::int64_t payload_bytes() const { return extra_offsets_.back(); }
  std::int64_t nbytes() const;

 private:
  static constexpr std::int64_t kLine = 64;

  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
  std::int64_t checksum_at() const { return kStacksAt + num_obs_ * static_cast<std::int64_t>(sizeof(Stack)); }
  std::byte* record(std::int64_t slot) { return records_.data() + slot * fields_.record_bytes; }
  const std::byte* record(std::int64_t slot) const { return fields_.record(slot); }
  std::uint32_t& checksum(std::int64_t slot) { return *reinterpret_cast<std::uint32_t*>(record(slot) + checksum_at()); }
  std::uint32_t checksum(std::int64_t slot) const { return *reinterpret_cast<const std::uint32_t*>(record(slot) + checksum_at()); }

  std::int64_t lane_of(std::int64_t slot) const;
  std::uint32_t right_checksum(const Row& row, std::uint8_t flags) const;
  void seal(const Row& row);

  std::int64_t action_bytes_, num_obs_;
  Fields fields_;
  std::vector<std::int64_t> extra_offsets_;  // from the action on; the last is the end
  bool is_in_file_;
  std::vector<Lane> lanes_;
  std::int64_t num_slots_ = 0;
  int slot_bits_;
  Column<std::byte> records_;
};

}  // namespace mujigae
