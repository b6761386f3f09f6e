// Saving and loading a ReplayBuffer: only the rows held, and the frames that they need.
//
//   META  the caller's description        HEAD  counters, n_step, gamma, key and counter of the generator, lanes and stacks
//   ROWS  rewards, flags, actions with extras, stacks of the rows held    FRAM  one section for each lane and observation    PRIO
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "mujigae/check.hpp"
#include "mujigae/replay/replay_buffer.hpp"
#include "mujigae/replay/words.hpp"

namespace mujigae {
namespace {

constexpr std::uint32_t kMeta = section_tag("META"), kHead = section_tag("HEAD"), kRewards = section_tag("REWD"),
                        kFlags = section_tag("FLAG"), kActions = section_tag("ACTN"), kStacks = section_tag("STAK");

}  // namespace

void ReplayBuffer::save(const std::string& path, const std::string& meta) const {
  const auto locked = lock();
  if (file_ && file_->is_at(path)) fail_value("path: expected another file than the buffer's own, got ", path);
  SnapshotWriter writer(path);
  write(writer, meta);
}

std::vector<std::vector<std::byte>> ReplayBuffer::to_pieces(const std::string& meta) const {
  const auto locked = lock();
  SnapshotWriter writer;
  write(writer, meta);
  return writer.take_pieces();
}

void ReplayBuffer::write(SnapshotWriter& writer, const std::string& meta) const {
  writer.section(kMeta, std::span<const char>(meta));
  save_rows(writer);
  save_frames(writer);
  sampler_->save(writer, rows_);
  ahead_.save(writer);
  writer.commit();
}

std::vector<std::int64_t> ReplayBuffer::head(std::uint64_t counter) const {
  std::vector<std::int64_t> head = {num_added_,
                                    num_silent_boundaries_,
                                    settings_.n_step,
                                    std::bit_cast<std::int64_t>(settings_.gamma),
                                    std::bit_cast<std::int64_t>(random_.key()[0]),
                                    std::bit_cast<std::int64_t>(random_.key()[1]),
                                    std::bit_cast<std::int64_t>(counter)};
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    const Lane& lane = rows_.lane(e);
    head.insert(head.end(), {lane.first, lane.next, lane.episode_start});
    for (const StackLane& stack_lane : stacks_[static_cast<std::size_t>(e)]) {
      head.insert(head.end(), {stack_lane.log().begin(), stack_lane.log().end()});
      push_stack(head, stack_lane.current());
    }
  }
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    head.push_back(rows_.lane(e).issued_end);
    for (const Epoch& epoch : rows_.lane(e).epochs) head.insert(head.end(), {epoch.first_row, epoch.offset});
    head.push_back(rows_.lane(e).begins_episode ? 1 : 0);
  }
  return head;
}

void ReplayBuffer::save_rows(SnapshotWriter& writer) const {
  std::vector<double> rewards;
  std::vector<std::uint8_t> flags;
  std::vector<std::byte> actions;
  std::vector<std::int64_t> stacks;
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    const Lane& lane = rows_.lane(e);
    for (std::int64_t row = lane.first; row < lane.next; ++row) {
      const std::int64_t slot = lane.slot(row);
      rewards.push_back(rows_.reward(slot));
      flags.push_back(rows_.flags(slot));
      actions.insert(actions.end(), rows_.action(slot), rows_.action(slot) + rows_.payload_bytes());
      for (std::int64_t c = 0; c < rows_.num_obs(); ++c) push_stack(stacks, rows_.stack(c, slot));
    }
  }
  writer.section(kHead, std::span<const std::int64_t>(head(random_.counter())));
  writer.section(kRewards, std::span<const double>(rewards));
  writer.section(kFlags, std::span<const std::uint8_t>(flags));
  writer.section(kActions, std::span<const std::byte>(actions));
  writer.section(kStacks, std::span<const std::int64_t>(stacks));
}

void ReplayBuffer::save_frames(SnapshotWriter& writer) const {
  for (const auto& lane : stacks_) {
    for (const StackLane& stack_lane : lane) stack_lane.log().save(writer);
  }
}

void ReplayBuffer::load(const std::string& path) {
  SnapshotReader reader(path);
  read_snapshot_meta(reader);
  load(reader);
}

void ReplayBuffer::load(SnapshotReader& reader) {
  const auto locked = lock();
  if (file_) throw std::logic_error("a snapshot is loaded into memory only");
  load_rows(reader);
  load_frames(reader);
  if (const std::string reason = why_rows_invalid(); !reason.empty()) reader.fail(reason);
  sampler_->load(reader, rows_);
  ahead_.load(reader, rows_, random_, *arena_);
  reader.finish();
  announce_all();
}

void ReplayBuffer::set_head(Words& words) {
  num_added_ = words.next(0, Words::kMaxCount);
  num_silent_boundaries_ = words.next(0, num_added_);
  settings_.n_step = words.next(1, kMaxNStep);
  settings_.gamma = std::bit_cast<double>(words.next());
  if (!(settings_.gamma >= 0.0 && settings_.gamma <= 1.0)) words.fail("a gamma outside 0 to 1");
  const auto first_key = std::bit_cast<std::uint64_t>(words.next()), second_key = std::bit_cast<std::uint64_t>(words.next());
  random_ = Philox({first_key, second_key}, std::bit_cast<std::uint64_t>(words.next()));
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    Lane& lane = rows_.lane(e);
    lane.first = words.next(0, rows_.max_generation() * lane.slots);  // beyond that a key would overflow
    lane.next = words.next(lane.first, lane.first + lane.slots);
    lane.episode_start = words.next(0, lane.next);
    for (StackLane& stack_lane : stacks_[static_cast<std::size_t>(e)]) {
      const std::int64_t begin = words.next(0, Stack::kMaxNewest);
      const std::int64_t end = words.next(begin, Stack::kMaxNewest + 1);
      stack_lane.expect_frames(begin, end, words.next_stack());
    }
  }
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) set_keys(rows_.lane(e), words);
}

// Which keys of a lane are known, and whether its oldest row begins an episode.
void ReplayBuffer::set_keys(Lane& lane, Words& words) {
  lane.issued_end = words.next(0, lane.next);
  Epoch before;
  for (Epoch& epoch : lane.epochs) {
    epoch.first_row = words.next(before.first_row, lane.next);
    epoch.offset = words.next(before.offset, rows_.max_generation() - lane.next / lane.slots);
    before = epoch;
  }
  lane.begins_episode = words.next(0, 1) != 0;
}

void ReplayBuffer::load_rows(SnapshotReader& reader) {
  const auto fail = [&reader](const std::string& what) { reader.fail(what); };
  Words words{reader.section<std::int64_t>(kHead), fail};
  set_head(words);
  words.finish();
  std::size_t num_held = 0;
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) num_held += static_cast<std::size_t>(rows_.lane(e).num_held());

  const auto rewards = reader.section<double>(kRewards, num_held);
  const auto flags = reader.section<std::uint8_t>(kFlags, num_held);
  const auto actions = reader.section<std::byte>(kActions, num_held * static_cast<std::size_t>(rows_.payload_bytes()));
  Words stacks{reader.section<std::int64_t>(kStacks, num_held * settings_.obs.size() * 3), fail};
  std::size_t i = 0;
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    for (std::int64_t row = rows_.lane(e).first; row < rows_.lane(e).next; ++row, ++i) {
      const std::int64_t slot = rows_.lane(e).slot(row);
      if (!(std::abs(rewards[i]) <= max_reward(settings_.n_step))) reader.fail("a reward that is not finite or too large");
      if (!RowRing::are_flags(flags[i])) reader.fail("unknown flags");
      rows_.reward(slot) = rewards[i];
      rows_.flags(slot) = flags[i];
      std::memcpy(rows_.action(slot), actions.data() + i * static_cast<std::size_t>(rows_.payload_bytes()),
                  static_cast<std::size_t>(rows_.payload_bytes()));
      for (std::int64_t c = 0; c < rows_.num_obs(); ++c) rows_.stack(c, slot) = stacks.next_stack();
    }
  }
}

void ReplayBuffer::load_frames(SnapshotReader& reader) {
  for (auto& lane : stacks_) {
    for (StackLane& stack_lane : lane) {
      stack_lane.log().restart_at(stack_lane.expected_begin());
      stack_lane.log().load(reader, stack_lane.expected_end() - stack_lane.expected_begin());
      if (const std::string reason = stack_lane.why_invalid(); !reason.empty()) reader.fail(reason);
    }
  }
}

std::string read_snapshot_meta(SnapshotReader& reader) {
  const std::vector<char> meta = reader.section<char>(kMeta);
  return {meta.begin(), meta.end()};
}

std::string read_snapshot_meta(const std::string& path) {
  SnapshotReader reader(path);
  return read_snapshot_meta(reader);
}

}  // namespace mujigae
