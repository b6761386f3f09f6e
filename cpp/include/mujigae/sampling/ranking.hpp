// Slots in the order of their priorities: rank 1 has the largest, and of equal priorities the lowest slot comes first.
//
//   runs      [ 9.0 9.0 7.5 ]  [ 7.5 6.0 ]  [ 5.0 3.0 3.0 0.0 ]      sorted, each of at most 512 entries (priority, slot)
//   before          0                3               5               entries of the runs before, counted by count()
//
// A full run is split into halves, and neighbours that have room in half a run are joined: two neighbours have more than 256
// entries together, so there are at most 2 N / 257 + 1 runs. Changes are noted and take effect by commit(), the last of a slot:
// one that comes to nothing costs nothing.
// O(log N + 512) a change, O(N / 256) to count when there was one, then O(log N) from rank to slot and back.
// Memory is reserved at construction, and nothing is allocated but the notes. Threads: any number of readers, or one writer; the
// owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "mujigae/storage/column.hpp"

namespace mujigae {

class Ranking {
 public:
  static constexpr std::int64_t kBytesOfSlot = 74;  // an upper bound, of a large number of slots

  explicit Ranking(std::int64_t num_slots);

  void reserve(std::int64_t num_changes) { changes_.reserve(changes_.size() + static_cast<std::size_t>(num_changes)); }
  void set(std::int64_t slot, double priority);  // finite and at least 0
  void remove(std::int64_t slot);
  void commit();
  void clear();
  void count();  // before slot_at and rank_of, after a commit

  // Of what was committed.
  std::int64_t size() const { return size_; }
  bool contains(std::int64_t slot) const { return order_[slot] != 0; }
  double priority_of(std::int64_t slot) const;    // of one that is contained
  std::int64_t slot_at(std::int64_t rank) const;  // 1 <= rank <= size()
  std::int64_t rank_of(std::int64_t slot) const;  // of one that is contained

  std::int64_t nbytes() const { return order_.nbytes() + entries_.nbytes(); }
  std::string why_invalid() const;

 private:
  static constexpr std::int64_t kRun = 512;
  static constexpr std::uint64_t kIsNoted = std::uint64_t{1} << 63;

  struct Entry {
    std::uint64_t order;  // of the priority: larger for a larger one, never 0
    std::int64_t slot;

    bool operator==(const Entry&) const = default;
    bool is_before(const Entry& other) const { return order > other.order || (order == other.order && slot < other.slot); }
  };
  struct Run {
    Entry first;
    Entry* entries;
    std::int64_t count, before;
  };

  void note(std::int64_t slot, std::uint64_t order);
  std::size_t run_of(const Entry& entry) const;
  std::int64_t index_in(const Run& run, const Entry& entry) const;
  void insert(const Entry& entry);
  void erase(const Entry& entry);
  void split(std::size_t at);
  void join(std::size_t at);
  void drop(std::size_t at);

  Column<std::uint64_t> order_;  // [slots] of each slot's entry, 0 without one; with kIsNoted while a change waits
  Column<Entry> entries_;        // the memory of all runs
  std::vector<Entry*> unused_;
  std::vector<Run> runs_;
  std::vector<Entry> changes_;  // what the entries of the slots with a change are until then
  std::int64_t size_ = 0;
  bool is_counted_ = true;
};

}  // namespace mujigae
