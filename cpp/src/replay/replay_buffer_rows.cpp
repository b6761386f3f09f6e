// Rows of a ReplayBuffer by their keys, one after another, and complete episodes.
#include <algorithm>
#include <tuple>

#include "mujigae/check.hpp"
#include "mujigae/replay/gather.hpp"
#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae {

void ReplayBuffer::draw(std::span<std::int64_t> keys, std::span<double> probabilities) {
  const auto locked = lock();
  sampler_->check_can_draw(rows_, span(), static_cast<std::int64_t>(keys.size()));
  std::vector<std::int64_t> slots(keys.size());
  ahead_.drop(random_);
  const double total = sampler_->draw_masses(rows_, span(), random_, slots, probabilities);
  for (double& probability : probabilities) probability /= total;
  RowRing::KeyedRows keyed_rows(rows_);
  for (std::size_t i = 0; i < slots.size(); ++i) keys[i] = keyed_rows[slots[i]].key;
}

std::int64_t ReplayBuffer::held_slot(std::int64_t key, std::size_t at) const {
  const RowRing::Row row = rows_.row_of_key(key, at);
  if (!rows_.is_held(row)) fail_index("key[", at, "]: expected a row that is still there, got ", key, ", which was overwritten");
  return rows_.lane(row.lane).slot(row.row);
}

BatchMemory ReplayBuffer::gather(std::span<const std::int64_t> keys, std::optional<double> beta) {
  const auto locked = lock();
  const double exponent = checked_beta(*sampler_, beta);
  std::vector<std::int64_t> slots;
  slots.reserve(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    slots.push_back(held_slot(keys[i], i));
    if (rows_.is_ready(rows_.row_in(slots.back()), span())) continue;
    fail_index("key[", i, "]: expected a row whose n-step window is complete, got ", keys[i]);
  }
  BatchMemory batch(*arena_, static_cast<std::int64_t>(keys.size()), schema_);
  std::vector<double> masses(slots.size());
  fill_chances(masses, sampler_->masses_of(rows_, span(), slots, masses), exponent, batch.view);
  read_rows(slots, batch.view);
  return batch;
}

void ReplayBuffer::next_keys(std::span<const std::int64_t> keys, std::span<std::int64_t> out) {
  const auto locked = lock();
  for (std::size_t i = 0; i < keys.size(); ++i) held_slot(keys[i], i);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const RowRing::Row row = rows_.row_of_key(keys[i], i);
    Lane& lane = rows_.lane(row.lane);
    const bool has_next = rows_.flags(lane.slot(row.row)) == 0 && row.row + 1 < lane.next;
    out[i] = has_next ? rows_.key_of(lane.slot(row.row + 1)) : -1;
    if (has_next) lane.issued_end = std::max(lane.issued_end, row.row + 2);
  }
}

void ReplayBuffer::last_keys(std::span<std::int64_t> out) {
  const auto locked = lock();
  for (std::size_t e = 0; e < out.size(); ++e) {
    Lane& lane = rows_.lane(static_cast<std::int64_t>(e));
    out[e] = lane.num_held() > 0 ? rows_.key_of(lane.slot(lane.next - 1)) : -1;
    lane.issued_end = std::max(lane.issued_end, lane.next);
  }
}

std::vector<EpisodeRows> ReplayBuffer::episodes() const {
  const auto locked = lock();
  std::vector<EpisodeRows> episodes;
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    const Lane& lane = rows_.lane(e);
    for (std::int64_t first = lane.first, row = first; row < lane.next; ++row) {
      const bool has_ended = rows_.flags(lane.slot(row)) != 0;
      if (!has_ended && row + 1 < lane.next) continue;
      episodes.push_back({e, first, row + 1 - first, !has_ended});
      first = row + 1;
    }
  }
  std::sort(episodes.begin(), episodes.end(), [](const EpisodeRows& a, const EpisodeRows& b) {
    return std::tie(a.is_open, a.first, a.env) < std::tie(b.is_open, b.first, b.env);
  });
  return episodes;
}

void ReplayBuffer::check_episode(const EpisodeRows& rows) const {
  if (rows.env < 0 || rows.env >= settings_.num_envs) fail_index("env: expected 0 <= env < ", settings_.num_envs, ", got ", rows.env);
  if (rows.first < 0) fail_value("first: expected at least 0, got ", rows.first);
  const std::int64_t most = rows_.lane(rows.env).slots;  // never changes
  if (rows.count < 1 || rows.count > most) fail_value("count: expected 1 to ", most, " rows, got ", rows.count);
}

bool ReplayBuffer::read_episode(const EpisodeRows& rows, const EpisodeView& out) {
  check_episode(rows);
  const auto locked = lock();
  Lane& lane = rows_.lane(rows.env);
  if (rows.first < lane.first || rows.first > lane.next - rows.count) return false;
  RowRing::KeyedRows keyed_rows(rows_);
  for (std::int64_t t = 0; t < rows.count; ++t) {
    const std::int64_t slot = lane.slot(rows.first + t);
    const std::uint8_t flags = rows_.flags(slot);
    out.reward[t] = rows_.reward(slot);
    out.terminated[t] = (flags & RowRing::kTerminated) != 0;
    out.truncated[t] = flags != 0 && !out.terminated[t];
    out.key[t] = keyed_rows[slot].key;
    copy_bytes(out.action + t * rows_.action_bytes(), rows_.action(slot), static_cast<std::size_t>(rows_.action_bytes()));
    for (std::size_t x = 0; x < rows_.num_extras(); ++x) {
      copy_bytes(out.extras[x] + t * rows_.extra_bytes(x), rows_.extra(x, slot), static_cast<std::size_t>(rows_.extra_bytes(x)));
    }
    if (!out.obs.empty()) read_stacks(rows.env, slot, t, t + 1 == rows.count, out);
  }
  lane.issued_end = std::max(lane.issued_end, rows.first + rows.count);
  return true;
}

void ReplayBuffer::read_stacks(std::int64_t env, std::int64_t slot, std::int64_t t, bool is_last, const EpisodeView& out) const {
  for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
    const Stack& stack = rows_.stack(static_cast<std::int64_t>(c), slot);
    const std::int64_t bytes = settings_.obs[c].bytes();
    stacks(env, c).read(stack, out.obs[c] + t * bytes);
    if (is_last) stacks(env, c).read(stacks(env, c).successor(stack), out.obs[c] + (t + 1) * bytes);
  }
}

void ReplayBuffer::reseed(Philox::Key key) {
  const auto locked = lock();
  ahead_.drop(random_);
  random_ = Philox(key);
}

}  // namespace mujigae
