// The rows of every lane (one lane per environment): rewards, actions, flags and the stacks that they refer to.
//
//   lane       rows  first ............ episode_start ..... next        counted from 0 for ever
//   slot = offset + row % slots         each lane owns `slots` neighbouring slots of the columns
//   key  = generation << 32 | slot      generation = row / slots: a key outlives its row and can tell
//
// A row can be drawn when its window is complete: n rows from it on, or its episode's end. In a lane these are the rows from
// `first` up to ready_end(n), without gaps. A lane holds at most `capacity` of them and evicts its own oldest row.
//
// The columns are memory that costs nothing until it is touched, or parts of a mapped file. In a file each row has a checksum of
// its number and contents as well, so that a row that never reached the disk, or was overwritten since, can be told.
//
// Everything is O(1) in the number of rows. Threads: none; the owner locks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "mujigae/column.hpp"
#include "mujigae/frame_ring.hpp"
#include "mujigae/mapped_file.hpp"
#include "mujigae/n_step.hpp"

namespace mujigae {

struct Lane {
  std::int64_t offset, capacity, slots;
  std::int64_t first = 0, next = 0, episode_start = 0;
  std::int64_t issued_end = 0;  // the rows before it could be drawn at some time: their keys may be known

  std::int64_t num_held() const { return next - first; }
  bool has_open_episode() const { return episode_start < next; }
  std::int64_t slot(std::int64_t row) const { return offset + row % slots; }
  std::int64_t ready_end(std::int64_t n_step) const { return std::max({first, episode_start, next - n_step + 1}); }
  std::int64_t num_ready(std::int64_t n_step) const { return ready_end(n_step) - first; }
};

class ColumnRing {
 public:
  enum Flag : std::uint8_t { kTerminated = 1, kTruncated = 2, kInterrupted = 4 };  // interrupted: reset behind our back
  struct Row {
    std::int64_t lane, row;
  };
  struct Place {
    Row row;
    std::int64_t key;
  };

  // Lane e owns capacity / num_lanes rows, one more for the first capacity % num_lanes, and `spare_slots` on top.
  ColumnRing(std::int64_t capacity, std::int64_t num_lanes, std::int64_t spare_slots, std::int64_t action_bytes,
             std::int64_t num_obs, MappedFile* file = nullptr);

  std::int64_t append(std::int64_t lane, double reward, std::uint8_t flags, const std::byte* action);  // -> slot
  void interrupt(std::int64_t lane);  // the open episode of the lane ended with its newest row
  void clear();

  std::int64_t num_ready(std::int64_t n_step) const;  // rows that can be drawn

  // The newest row that was written there or will be (it may lie outside first..next), and its key.
  Place place_in(std::int64_t slot) const;
  Row row_in(std::int64_t slot) const { return place_in(slot).row; }
  std::int64_t key_of(std::int64_t slot) const { return place_in(slot).key; }
  // The row of a key: IndexError when it was never issued.
  Row row_of_key(std::int64_t key, std::size_t at) const;
  bool is_held(const Row& row) const;
  bool is_ready(const Row& row, std::int64_t n_step) const;

  Window window(const Row& row, std::int64_t n_step, double gamma) const;
  // ... of the row in `slot`, which becomes the slot of the window's last row.
  Window window(const Lane& lane, std::int64_t& slot, std::int64_t n_step, double gamma) const {
    std::int64_t next = slot;
    return n_step_window(n_step, gamma, [&](std::int64_t) {
      slot = next;
      next = slot + 1 == lane.offset + lane.slots ? lane.offset : slot + 1;
      return StepOutcome{rewards_[slot], (flags_[slot] & kTerminated) != 0, flags_[slot] != 0};
    });
  }
  // The row in the slot and the last one of its window will be read soon.
  void ask_for(std::int64_t slot, std::int64_t n_step) const {
    const std::int64_t last = std::min(slot + n_step, num_slots()) - 1;
    __builtin_prefetch(&rewards_[slot]);
    __builtin_prefetch(&flags_[slot]);
    __builtin_prefetch(action(slot));
    __builtin_prefetch(action(slot) + action_bytes_ - 1);
    for (std::int64_t obs = 0; obs < num_obs_; ++obs) {
      __builtin_prefetch(&stack(obs, slot));
      __builtin_prefetch(&stack(obs, last));
    }
  }

  // In a file: whether the row is as it was written. The newest row of an open episode may have been interrupted since.
  bool is_whole(const Row& row, bool may_be_interrupted) const;
  void reopen_episode(std::int64_t lane);  // the newest row was not interrupted after all

  Stack& stack(std::int64_t obs, std::int64_t slot) { return stacks_[obs * num_slots() + slot]; }
  const Stack& stack(std::int64_t obs, std::int64_t slot) const { return stacks_[obs * num_slots() + slot]; }
  const std::byte* action(std::int64_t slot) const { return actions_.data() + slot * action_bytes_; }
  std::byte* action(std::int64_t slot) { return actions_.data() + slot * action_bytes_; }
  double& reward(std::int64_t slot) { return rewards_[slot]; }
  double reward(std::int64_t slot) const { return rewards_[slot]; }
  std::uint8_t& flags(std::int64_t slot) { return flags_[slot]; }
  std::uint8_t flags(std::int64_t slot) const { return flags_[slot]; }

  Lane& lane(std::int64_t e) { return lanes_[index(e)]; }
  const Lane& lane(std::int64_t e) const { return lanes_[index(e)]; }
  std::int64_t num_lanes() const { return static_cast<std::int64_t>(lanes_.size()); }
  std::int64_t num_slots() const { return rewards_.size(); }
  std::int64_t num_obs() const { return num_obs_; }
  std::int64_t action_bytes() const { return action_bytes_; }
  std::int64_t nbytes() const;

 private:
  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
  std::int64_t lane_of(std::int64_t slot) const;
  std::uint32_t checksum(const Row& row, std::uint8_t flags) const;
  void seal(const Row& row);

  std::int64_t action_bytes_, num_obs_;
  std::vector<Lane> lanes_;
  Column<double> rewards_;
  Column<std::uint8_t> flags_;
  Column<std::byte> actions_;
  Column<Stack> stacks_;             // [obs, slot]
  Column<std::uint32_t> checksums_;  // in a file only
};

}  // namespace mujigae
