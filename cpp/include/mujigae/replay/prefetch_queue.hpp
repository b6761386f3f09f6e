// Batches drawn ahead, oldest first: their windows, keys and actions are there, their frames on the way.
//
//   sample t   hands out batch t, after which batch t + d is drawn        [ t+1 | ... | t+d ]  then
//
// A batch holds what was drawn when it was drawn; only its weights wait for the exponent of the day it is handed out. Its frames are
// read from the frame logs, which must keep them until finish().
// Dropping takes the generator back to where the oldest batch was drawn, so a redraw begins with the same numbers.
//
// Threads: none; the owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "mujigae/replay/batch.hpp"
#include "mujigae/replay/row_ring.hpp"
#include "mujigae/frames/frame_copies.hpp"
#include "mujigae/sampling/random.hpp"
#include "mujigae/replay/snapshot.hpp"

namespace mujigae {

struct DrawnBatch {
  std::uint64_t counter;       // of the generator before the draw
  std::vector<double> masses;  // of the rows when they were drawn: what the weights will be made of
  BatchMemory memory;          // all but the weights, when the frames are finished
  FrameCopies frames;          // let go before the memory is

  std::int64_t batch_size() const { return memory.view.batch_size; }
};

class PrefetchQueue {
 public:
  PrefetchQueue(std::int64_t depth, Schema schema) : depth_(depth), schema_(std::move(schema)) {}

  bool is_empty() const { return batches_.empty(); }
  bool is_full() const { return static_cast<std::int64_t>(batches_.size()) >= depth_; }
  bool is_for(std::int64_t batch_size) const { return is_empty() || batches_.front().batch_size() == batch_size; }
  std::uint64_t first_counter(const Philox& random) const { return is_empty() ? random.counter() : batches_.front().counter; }

  void push(DrawnBatch batch) { batches_.push_back(std::move(batch)); }
  DrawnBatch pop();  // finished
  void finish();     // the frames of all
  bool is_finished() const;
  void drop(Philox& random);

  std::int64_t nbytes() const;
  std::string why_invalid() const;

  // One section a batch. Load masses the queue as it was saved, or fails by the reader.
  void save(SnapshotWriter& writer);
  void load(SnapshotReader& reader, const RowRing& rows, const Philox& random, Arena& arena);

 private:
  static void check_windows(SnapshotReader& reader, const BatchView& batch, const RowRing& rows);  // of a snapshot: by the reader
  DrawnBatch read_batch(SnapshotReader& reader, Arena& arena) const;
  std::int64_t row_bytes() const;
  std::int64_t saved_row_bytes() const;
  template <class Visit>
  void for_each_saved_field(const BatchView& batch, const Visit& visit) const;

  std::int64_t depth_;
  Schema schema_;
  std::deque<DrawnBatch> batches_;
};

}  // namespace mujigae
