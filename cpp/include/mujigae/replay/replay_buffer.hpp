// Add transitions of many environments, draw n-step batches of them: a complete replay buffer behind one mutex.
//
//   add      RowRing + StackLane     one row and (mostly) one frame for each transition
//   sample   Sampler -> slots -> n-step windows -> frames copied straight into the caller's memory
//
// One-step rows are stored and windows are worked out when a batch is drawn, so n_step and gamma may change at any time, every
// start can be drawn, and no window or stack crosses an episode. An obs that differs from the next_obs before it starts a new
// episode (the environment was reset behind our back).
//
// Rows, frames and priorities lie in memory, or in a mapped file that outlives the process: see cpp/README.md.
//
// With prefetch d, batch t + d is drawn right after batch t is handed out (prefetch_queue.hpp), by a thread, or by the next call
// if that comes first: it finds the buffer as batch t left it. It is dropped, and drawn again from the same random numbers, when
// another batch size, n_step, gamma or alpha is used. Frames that it still reads are not evicted before it has them: add waits.
//
// All memory arguments are checked by the caller; values are checked here, before the first change. Rewards and flags are read once;
// observations and actions that another thread changes meanwhile may be stored as they never were, in their own row only. When memory or disk run out
// within add, the steps before the one that found no room stay.
// O(bytes) add and sample, plus O(log N) for priorities. Threads: any may call anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mujigae/fork_safe_mutex.hpp"
#include "mujigae/storage/arena.hpp"
#include "mujigae/replay/batch.hpp"
#include "mujigae/replay/buffer_settings.hpp"
#include "mujigae/replay/row_ring.hpp"
#include "mujigae/frames/frame_copies.hpp"
#include "mujigae/frames/frame_mirror.hpp"
#include "mujigae/frames/frame_ring.hpp"
#include "mujigae/storage/mapped_file.hpp"
#include "mujigae/replay/prefetch_queue.hpp"
#include "mujigae/replay/sequences.hpp"
#include "mujigae/sampling/random.hpp"
#include "mujigae/sampling/sampler.hpp"
#include "mujigae/replay/snapshot.hpp"

namespace mujigae {

// Transitions [T, E, ...] in order, C-contiguous; one pointer for each observation.
struct StepsView {
  std::int64_t num_steps;  // T
  std::span<const std::int64_t> env_ids;  // [E]
  std::vector<const std::byte*> obs, next_obs;
  const std::byte* action;
  const double* reward;
  const bool* terminated;
  const bool* truncated;
  const double* priority = nullptr;  // first priorities; nullptr: the largest so far
  std::vector<const std::byte*> extras = {};  // one for each field that the user adds
};

// Rows of one episode of one environment, neighbours in order; the episode may go on before and after them.
struct EpisodeRows {
  std::int64_t env, first, count;
  bool is_open;  // its newest row has neither ended nor been interrupted
};

// Where such rows go: [T, ...] each, obs [T + 1, ...], or no obs where nobody wants them.
struct EpisodeView {
  std::vector<std::byte*> obs;
  std::byte* action;
  double* reward;
  bool *terminated, *truncated;
  std::int64_t* key;
  std::vector<std::byte*> extras;
};

struct Words;  // integers read one by one, each checked

// Frames of one observation that its mirror lacks, and the slots of the mirror that they belong into.
struct NewFrames {
  std::int64_t num_slots;  // of the whole mirror
  std::vector<std::int64_t> slots;  // [N]
  std::vector<std::byte> frames;  // [N, frame_bytes]
};

class ReplayBuffer {
 public:
  // A size that does not fit into memory (or onto the disk of the file) is refused before anything is allocated. A new file is
  // published, an old one read: a SnapshotError when it is damaged beyond what a kill can do.
  ReplayBuffer(const BufferSettings& settings, const SamplerPlan& sampler, std::unique_ptr<MappedFile> file = nullptr);
  ~ReplayBuffer();  // flushes a file

  void add(const StepsView& steps);
  // The open episodes of these environments (each at most once), or of all, end as truncated with the row that came last.
  void end_episodes(std::optional<std::span<const std::int64_t>> env_ids = std::nullopt);
  // Into the caller's memory, or into recycled memory. No beta: the sampler's own.
  void sample(std::optional<double> beta, const BatchView& out);
  BatchMemory sample(std::optional<double> beta, std::int64_t batch_size);
  // Sequences around rows drawn as sample draws them (sequences.hpp); what was prefetched is dropped.
  BatchMemory sample_sequences(std::int64_t batch_size, const SequenceShape& shape, std::optional<double> beta);
  // The keys and probabilities of as many rows as the spans have, drawn now: what was prefetched is dropped.
  void draw(std::span<std::int64_t> keys, std::span<double> probabilities);
  // The rows of these keys as sample gives them; IndexError for one that is stale, or whose window is not complete.
  BatchMemory gather(std::span<const std::int64_t> keys, std::optional<double> beta);
  // For each key that of the row after it in its episode; -1 where the episode ends or the row is not there yet.
  void next_keys(std::span<const std::int64_t> keys, std::span<std::int64_t> out);
  // For each environment the key of its newest row, -1 where it has none.
  void last_keys(std::span<std::int64_t> out);
  // Every episode that has rows, open ones last, each group by the number of its first row, then by environment.
  std::vector<EpisodeRows> episodes() const;
  // IndexError or ValueError for rows that no environment of this buffer can ever have had.
  void check_episode(const EpisodeRows& rows) const;
  // False, and nothing read: rows of it have been evicted meanwhile, or are not there yet.
  bool read_episode(const EpisodeRows& rows, const EpisodeView& out);
  void reseed(Philox::Key key);
  // sample, where frames are mirrored on a device: the batch names their slots there (frame_mirror.hpp), and the caller copies
  // `new_frames` to the device before it uses the batch. False, and nothing drawn: at least `max_frames` frames were new; copy
  // those and call again. A caller that lost some of them restarts the mirrors. Nothing is prefetched.
  bool sample_mirrored(std::optional<double> beta, const BatchView& out, std::int64_t max_frames, std::vector<NewFrames>& new_frames);
  void restart_mirrors();
  void clear();

  std::int64_t update_priorities(std::span<const std::int64_t> keys, std::span<const double> priorities);
  // The raw priorities of these rows; IndexError for a key that is stale or was never issued.
  void read_priorities(std::span<const std::int64_t> keys, std::span<double> out) const;
  bool has_priorities() const { return sampler_->has_priorities(); }
  void set_alpha(double alpha);
  double alpha() const;
  void set_beta(double beta);
  double beta() const;
  double max_priority() const;

  void set_n_step(std::int64_t n_step);
  void set_gamma(double gamma);
  std::int64_t n_step() const;
  double gamma() const;
  std::int64_t size() const;  // rows that can be drawn
  std::int64_t num_added() const;
  std::int64_t num_silent_boundaries() const;
  // That, or if it is larger: the most rows of one lane that look like the reset steps of Gymnasium's vector environments
  // (NEXT_STEP), where all its rows do that follow an end: they begin with the observation at the end, bring no reward, lead
  // elsewhere and end nothing. The second number is not saved.
  std::int64_t num_doubtful_starts() const;
  std::int64_t nbytes() const;
  std::string why_invalid() const;

  // The complete state behind `meta`, the caller's description of how to construct the buffer again. Load takes a buffer
  // constructed in that way; after a SnapshotError it must be thrown away.
  void save(const std::string& path, const std::string& meta) const;
  void load(const std::string& path);
  void load(SnapshotReader& reader);  // whose META has been read
  std::vector<std::vector<std::byte>> to_pieces(const std::string& meta) const;  // the same in memory, one after the other

  // In a file: what has been added up to now survives any kill. Without one: nothing to do.
  void flush();

  const Schema& schema() const { return schema_; }
  Schema sequence_schema(const SequenceShape& shape) const { return mujigae::sequence_schema(settings_, shape); }
  const std::vector<ObsLayout>& obs() const { return settings_.obs; }
  std::int64_t num_envs() const { return settings_.num_envs; }

 private:
  struct Outcomes;
  struct RowPointers;

  Span span() const { return {0, settings_.n_step - 1}; }  // of an n-step window
  std::unique_lock<ForkSafeMutex> lock() const;  // nothing is pending then
  static void help_until_free(std::unique_lock<ForkSafeMutex>& locked);
  void put_stacks_in_file();
  void check(const StepsView& steps, const Outcomes& outcomes) const;
  void check_stack_rolls(const RowPointers& row) const;
  void add_steps(const StepsView& steps, const Outcomes& outcomes, std::int64_t begin, std::int64_t end);
  void add_row(std::int64_t lane, const RowPointers& row);
  void end_episode(std::int64_t lane);
  bool is_interrupted(std::int64_t lane, const RowPointers& row) const;
  void count_reset_step(std::int64_t lane, const RowPointers& row);
  void evict_oldest(std::int64_t lane);
  void announce_ready(std::int64_t lane, std::int64_t old_ready_end);
  void announce_all();
  void fill(double beta, const BatchView& out);
  static void fill_chances(std::span<const double> masses, double total, double beta, const BatchView& out);
  void read_rows(std::span<const std::int64_t> slots, const BatchView& out);
  void read_stacks(std::int64_t env, std::int64_t slot, std::int64_t t, bool is_last, const EpisodeView& out) const;
  std::int64_t held_slot(std::int64_t key, std::size_t at) const;
  void fill_mirror_slots(std::span<const std::int64_t> slots, const BatchView& out) const;
  DrawnBatch take_ahead(double beta, std::int64_t batch_size);
  DrawnBatch draw_ahead(std::int64_t batch_size) const;
  void leave_pending(std::int64_t batch_size);
  void draw_pending() const;
  void draw_pending_behind() const;
  void put_mirror_slots(std::int64_t lane, std::size_t obs, const Stack& stack, std::byte* out, std::int64_t to) const;
  NewFrames read_new_frames(std::size_t obs, std::span<const FrameMirror::Fresh> fresh) const;
  StackLane& stacks(std::int64_t lane, std::size_t obs) { return stacks_[static_cast<std::size_t>(lane)][obs]; }
  const StackLane& stacks(std::int64_t lane, std::size_t obs) const { return stacks_[static_cast<std::size_t>(lane)][obs]; }

  void write(SnapshotWriter& writer, const std::string& meta) const;
  std::vector<std::int64_t> head(std::uint64_t counter) const;
  void set_head(Words& words);
  void set_keys(Lane& lane, Words& words);
  void save_rows(SnapshotWriter& writer) const;
  void save_frames(SnapshotWriter& writer) const;
  void load_rows(SnapshotReader& reader);
  void load_frames(SnapshotReader& reader);
  std::string why_rows_invalid() const;
  std::string why_episodes_invalid(std::int64_t lane) const;
  std::string why_stacks_invalid(std::int64_t lane, std::size_t obs) const;

  std::vector<std::int64_t> state() const;
  void adopt_file();
  void adopt_lane(std::int64_t lane, bool is_closed);
  std::int64_t first_intact_row(std::int64_t lane) const;
  bool is_intact(std::int64_t lane, std::int64_t row, std::span<const std::int64_t> first_frames) const;

  BufferSettings settings_;
  std::unique_ptr<MappedFile> file_;  // what follows lies in it
  Schema schema_;
  RowRing rows_;
  PagePool frame_pool_;  // of the stacks, which go before it
  std::vector<std::vector<StackLane>> stacks_;  // [lane][obs]
  std::unique_ptr<Sampler> sampler_;
  mutable Philox random_;  // a reader may have to draw what is pending
  std::vector<FrameMirror> mirrors_;  // [obs]; none before the first sample_mirrored
  std::shared_ptr<Arena> arena_ = std::make_shared<Arena>();  // batches
  mutable PrefetchQueue ahead_;  // saving waits until its batches are gathered, which changes no result
  std::int64_t num_added_ = 0, num_silent_boundaries_ = 0;
  std::int64_t most_reset_steps_ = 0;
  std::vector<std::int64_t> num_reset_steps_;  // [lane]; -1 once an episode began in another way
  mutable std::int64_t pending_batch_size_ = 0;  // of the batches that are to be drawn ahead; 0: none
  mutable ForkSafeMutex mutex_;
  FrameCopies drawing_;  // draws what is pending; the first to go
};

std::string read_snapshot_meta(SnapshotReader& reader);  // the first section of every snapshot
std::string read_snapshot_meta(const std::string& path);

}  // namespace mujigae
