#include "mujigae/replay/replay_buffer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <thread>

#include "mujigae/check.hpp"

namespace mujigae {
namespace {

std::unique_ptr<MappedFile> with_states(std::unique_ptr<MappedFile> file, const BufferSettings& settings, std::int64_t num_sampler_words) {
  constexpr std::int64_t kCounters = 7, kLaneWords = 5 + 2 * static_cast<std::int64_t>(Lane::kMaxEpochs),
                         kLogWords = 5;  // see ReplayBuffer::state
  const std::int64_t lane_words = kLaneWords + kLogWords * static_cast<std::int64_t>(settings.obs.size());
  if (file) file->map_states(kCounters + settings.num_envs * lane_words + num_sampler_words);
  return file;
}

// Whether the frames take 32 MiB or more. Fewer lie in pages of 4 KiB whose addresses the processor's cache holds; huge ones would cost memory.
bool wants_huge_pages(const BufferSettings& settings) {
  constexpr std::int64_t kManyBytes = std::int64_t{1} << 25;
  std::int64_t row_bytes = 0;
  for (const ObsLayout& obs : settings.obs) row_bytes += obs.frame_bytes;
  return row_bytes >= kManyBytes / settings.capacity;
}

}  // namespace

ReplayBuffer::ReplayBuffer(const BufferSettings& settings, const SamplerPlan& sampler, std::unique_ptr<MappedFile> file)
    : settings_(checked(settings, sampler, file.get())),
      file_(with_states(std::move(file), settings, sampler.num_state_words)),
      schema_(batch_schema(settings)),
      rows_(settings.capacity, settings.num_envs, num_spare_slots(settings), settings.action_bytes,
            static_cast<std::int64_t>(settings.obs.size()), file_.get(), settings.extra_bytes),
      stacks_(static_cast<std::size_t>(settings.num_envs)),
      sampler_(sampler.make(rows_.num_slots(), file_.get())),
      random_(settings.key),
      ahead_(settings.prefetch, schema_),
      num_reset_steps_(static_cast<std::size_t>(settings.num_envs)) {
  PagePool* const pool = wants_huge_pages(settings) ? &frame_pool_ : nullptr;
  for (std::int64_t e = 0; e < settings.num_envs; ++e) {
    for (const ObsLayout& obs : settings.obs) {
      stacks_[static_cast<std::size_t>(e)].emplace_back(make_frame_log(obs, rows_.lane(e).slots, settings.compress, pool), obs.stack);
    }
  }
  if (!file_) return;
  put_stacks_in_file();
  if (file_->is_new()) {
    file_->publish(state());
  } else {
    adopt_file();
  }
}

std::unique_lock<ForkSafeMutex> ReplayBuffer::lock() const {
  if (file_) file_->check_owner();
  std::unique_lock locked(mutex_, std::defer_lock);
  if (settings_.prefetch > 0) help_until_free(locked);
  if (!locked) locked.lock();
  draw_pending();
  return locked;
}

// A thread of ours may be drawing: what is left of its work is shared, and its end is too near to sleep until then.
void ReplayBuffer::help_until_free(std::unique_lock<ForkSafeMutex>& locked) {
  constexpr int kYields = 100;
  for (int i = 0; !locked.try_lock() && i < kYields;) {
    if (!help_threads()) std::this_thread::yield(), ++i;
  }
}

// --- contents

void ReplayBuffer::clear() {
  const auto locked = lock();
  ahead_.drop(random_);
  rows_.clear();
  sampler_->clear();
  num_added_ = num_silent_boundaries_ = most_reset_steps_ = 0;
  std::fill(num_reset_steps_.begin(), num_reset_steps_.end(), 0);
  for (auto& lane : stacks_) {
    for (StackLane& stack_lane : lane) stack_lane.clear();
  }
  if (file_) file_->flush(state(), false);  // the rows are gone from the disk as well
}

// --- priorities

std::int64_t ReplayBuffer::update_priorities(std::span<const std::int64_t> keys, std::span<const double> priorities) {
  const auto locked = lock();
  if (keys.size() != priorities.size()) {
    fail_value("priorities: expected ", keys.size(), " of them, one for each key, got ", priorities.size());
  }
  sampler_->check_priorities("priorities", priorities);
  std::vector<RowRing::Row> rows;
  rows.reserve(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) rows.push_back(rows_.row_of_key(keys[i], i));
  sampler_->reserve(static_cast<std::int64_t>(keys.size()));
  std::int64_t applied = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!rows_.is_held(rows[i])) continue;
    const std::int64_t slot = rows_.lane(rows[i].lane).slot(rows[i].row);
    sampler_->set_priority(slot, priorities[i]);
    if (rows_.is_ready(rows[i], span())) sampler_->enter(slot);
    ++applied;
  }
  sampler_->commit();
  return applied;
}

void ReplayBuffer::read_priorities(std::span<const std::int64_t> keys, std::span<double> out) const {
  const auto locked = lock();
  for (std::size_t i = 0; i < keys.size(); ++i) out[i] = sampler_->priority(held_slot(keys[i], i));
}

// --- settings that may change between samples

void ReplayBuffer::announce_all() {
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    Lane& lane = rows_.lane(e);
    sampler_->reserve(2 * lane.num_held());
    for (std::int64_t row = lane.first; row < lane.next; ++row) sampler_->leave(lane.slot(row));
    while (lane.num_ready(span()) > lane.capacity) evict_oldest(e);
    announce_ready(e, lane.first);
  }
  sampler_->commit();
}

void ReplayBuffer::set_n_step(std::int64_t n_step) {
  const auto locked = lock();
  check_n_step(n_step);
  if (n_step == settings_.n_step) return;
  if (const double largest = rows_.largest_reward(); largest > max_reward(n_step)) {
    fail_value("n_step: expected one with which float32 holds the sums of rewards as large as ", largest, ", got ", n_step);
  }
  ahead_.drop(random_);
  settings_.n_step = n_step;
  announce_all();
}

void ReplayBuffer::set_gamma(double gamma) {
  const auto locked = lock();
  check_gamma(gamma);
  if (gamma == settings_.gamma) return;
  ahead_.drop(random_);
  settings_.gamma = gamma;
}

void ReplayBuffer::set_alpha(double alpha) {
  const auto locked = lock();
  if (alpha == sampler_->alpha()) return;
  sampler_->set_alpha(alpha);
  ahead_.drop(random_);
  announce_all();
}

void ReplayBuffer::set_beta(double beta) {
  const auto locked = lock();
  sampler_->set_beta(beta);
}

double ReplayBuffer::alpha() const {
  const std::lock_guard lock(mutex_);
  return sampler_->alpha();
}

double ReplayBuffer::beta() const {
  const std::lock_guard lock(mutex_);
  return sampler_->beta();
}

double ReplayBuffer::max_priority() const {
  const std::lock_guard lock(mutex_);
  return sampler_->max_priority();
}

std::int64_t ReplayBuffer::n_step() const {
  const std::lock_guard lock(mutex_);
  return settings_.n_step;
}

double ReplayBuffer::gamma() const {
  const std::lock_guard lock(mutex_);
  return settings_.gamma;
}

std::int64_t ReplayBuffer::size() const {
  const std::lock_guard lock(mutex_);
  return rows_.num_ready(span());
}

std::int64_t ReplayBuffer::num_added() const {
  const std::lock_guard lock(mutex_);
  return num_added_;
}

std::int64_t ReplayBuffer::num_silent_boundaries() const {
  const std::lock_guard lock(mutex_);
  return num_silent_boundaries_;
}

std::int64_t ReplayBuffer::num_doubtful_starts() const {
  const std::lock_guard lock(mutex_);
  return std::max(num_silent_boundaries_, most_reset_steps_);
}

std::int64_t ReplayBuffer::nbytes() const {
  const std::lock_guard lock(mutex_);
  draw_pending();
  std::int64_t bytes = rows_.nbytes() + sampler_->nbytes() + ahead_.nbytes() + frame_pool_.nbytes();
  for (const auto& lane : stacks_) {
    for (const StackLane& stack_lane : lane) bytes += stack_lane.log().nbytes();
  }
  return bytes;
}

// --- checks of our own state

std::string ReplayBuffer::why_invalid() const {
  const auto locked = lock();
  std::string reason = why_rows_invalid();
  if (reason.empty()) reason = ahead_.why_invalid();
  return reason.empty() ? sampler_->why_invalid(rows_, span()) : reason;
}

std::string ReplayBuffer::why_rows_invalid() const {
  std::int64_t num_held = 0, num_written = 0;
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    const Lane& lane = rows_.lane(e);
    if (lane.first < 0 || lane.num_held() < 0 || lane.num_held() > lane.slots || lane.num_ready(span()) > lane.capacity) {
      return concat("lane ", e, " holds rows ", lane.first, " to ", lane.next, " in ", lane.slots, " slots");
    }
    std::string reason = why_episodes_invalid(e);
    for (std::size_t c = 0; c < settings_.obs.size() && reason.empty(); ++c) reason = why_stacks_invalid(e, c);
    if (!reason.empty()) return reason;
    num_held += lane.num_held();
    num_written += lane.next;
  }
  const bool is_counted = num_held <= num_added_ && num_added_ <= num_written && num_silent_boundaries_ <= num_added_;
  return is_counted ? "" : concat(num_held, " rows are held of ", num_added_, " that were added");
}

// The open episode begins after the last row that ended one: a window then never walks past the rows held.
std::string ReplayBuffer::why_episodes_invalid(std::int64_t lane_index) const {
  const Lane& lane = rows_.lane(lane_index);
  if (lane.num_held() == 0 && lane.has_open_episode()) return concat("lane ", lane_index, " has an open episode without rows");
  std::int64_t last_end = lane.next;
  while (last_end > lane.first && rows_.flags(lane.slot(last_end - 1)) == 0) --last_end;
  const bool is_right = last_end > lane.first ? lane.episode_start == last_end : lane.episode_start <= lane.first;
  return is_right ? "" : concat("the open episode of lane ", lane_index, " begins at row ", lane.episode_start);
}

// Every stack follows the one before it, the current one the last row's, and all frames held are theirs. A window so never reaches
// frames that are not held, and gather finds its last stack among the successors of its first.
std::string ReplayBuffer::why_stacks_invalid(std::int64_t lane_index, std::size_t obs) const {
  const Lane& lane = rows_.lane(lane_index);
  const StackLane& stack_lane = stacks(lane_index, obs);
  const auto stack_of = [&](std::int64_t row) { return rows_.stack(static_cast<std::int64_t>(obs), lane.slot(row)); };
  if (lane.num_held() == 0) {
    const bool is_empty = stack_lane.log().begin() == stack_lane.log().end();
    return is_empty ? "" : concat("lane ", lane_index, " holds frames without rows");
  }
  const Stack first = stack_of(lane.first);
  if (first.oldest() != stack_lane.log().begin() || first.depth() >= stack_lane.stack() || first.padding() > Padding::kRepeat) {
    return concat("row ", lane.first, " of lane ", lane_index, " does not begin with the first frame held");
  }
  for (std::int64_t row = lane.first + 1; row < lane.next; ++row) {
    if (stack_lane.follows(stack_of(row), stack_of(row - 1), rows_.flags(lane.slot(row - 1)) != 0)) continue;
    return concat("the stack of row ", row, " of lane ", lane_index, " does not follow the one before it");
  }
  const bool is_last = stack_lane.current() == stack_lane.successor(stack_of(lane.next - 1));
  return is_last ? "" : concat("the current stack of lane ", lane_index, " does not follow that of its last row");
}

}  // namespace mujigae
