// Saving and loading a ReplayBuffer: only the rows held, and the frames that they need.
//
//   META  the caller's description        HEAD  counters, n_step, gamma, key and counter of the generator, lanes and stacks
//   ROWS  rewards, flags, actions, stacks of the rows held    FRAM  one section for each lane and observation    PRIO
#include <cmath>
#include <cstring>

#include "mujigae/check.hpp"
#include "mujigae/replay_buffer.hpp"

namespace mujigae {
namespace {

constexpr std::uint32_t kMeta = section_tag("META"), kHead = section_tag("HEAD"), kRewards = section_tag("REWD"),
                        kFlags = section_tag("FLAG"), kActions = section_tag("ACTN"), kStacks = section_tag("STAK"),
                        kFrames = section_tag("FRAM");

void push_stack(std::vector<std::int64_t>& words, const Stack& stack) {
  words.insert(words.end(), {stack.newest, stack.depth, static_cast<std::int64_t>(stack.padding)});
}

struct Words {  // a section of integers, read one by one; every one is checked before it is believed
  SnapshotReader& reader;
  std::vector<std::int64_t> words;
  std::size_t at = 0;

  std::int64_t next() {
    if (at == words.size()) reader.fail("a section that is too short");
    return words[at++];
  }
  std::int64_t next(std::int64_t low, std::int64_t high) {
    const std::int64_t word = next();
    if (word < low || word > high) reader.fail(concat("a value of ", word, ", expected ", low, " to ", high));
    return word;
  }
  Stack next_stack() {
    const std::int64_t newest = next(-1, kMaxCount);
    const auto depth = static_cast<std::uint8_t>(next(0, StackLane::kMaxStack - 1));
    return {newest, depth, static_cast<Padding>(next(0, 1))};
  }
  void finish() const {
    if (at != words.size()) reader.fail("a section that is too long");
  }

  static constexpr std::int64_t kMaxCount = std::int64_t{1} << 60;
};

}  // namespace

template <Sampler S>
void ReplayBuffer<S>::save(const std::string& path, const std::string& meta) const {
  const std::lock_guard lock(mutex_);
  SnapshotWriter writer(path);
  writer.section(kMeta, std::span<const char>(meta));
  save_rows(writer);
  save_frames(writer);
  sampler_.save(writer, rows_);
  writer.commit();
}

template <Sampler S>
void ReplayBuffer<S>::save_rows(SnapshotWriter& writer) const {
  std::vector<std::int64_t> head = {num_added_, num_silent_boundaries_, settings_.n_step,
                                    std::bit_cast<std::int64_t>(settings_.gamma),
                                    std::bit_cast<std::int64_t>(random_.key()[0]), std::bit_cast<std::int64_t>(random_.key()[1]),
                                    std::bit_cast<std::int64_t>(random_.counter())};
  std::vector<double> rewards;
  std::vector<std::uint8_t> flags;
  std::vector<std::byte> actions;
  std::vector<std::int64_t> stacks;
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    const Lane& lane = rows_.lane(e);
    head.insert(head.end(), {lane.first, lane.next, lane.episode_start});
    for (const StackLane& stack_lane : stacks_[static_cast<std::size_t>(e)]) {
      head.insert(head.end(), {stack_lane.log().begin(), stack_lane.log().end()});
      push_stack(head, stack_lane.current());
    }
    for (std::int64_t row = lane.first; row < lane.next; ++row) {
      const std::int64_t slot = lane.slot(row);
      rewards.push_back(rows_.reward(slot));
      flags.push_back(rows_.flags(slot));
      actions.insert(actions.end(), rows_.action(slot), rows_.action(slot) + rows_.action_bytes());
      for (std::int64_t c = 0; c < rows_.num_obs(); ++c) push_stack(stacks, rows_.stack(c, slot));
    }
  }
  writer.section(kHead, std::span<const std::int64_t>(head));
  writer.section(kRewards, std::span<const double>(rewards));
  writer.section(kFlags, std::span<const std::uint8_t>(flags));
  writer.section(kActions, std::span<const std::byte>(actions));
  writer.section(kStacks, std::span<const std::int64_t>(stacks));
}

template <Sampler S>
void ReplayBuffer<S>::save_frames(SnapshotWriter& writer) const {
  for (const auto& lane : stacks_) {
    for (const StackLane& stack_lane : lane) {
      const FrameLog& log = stack_lane.log();
      writer.begin_section(kFrames, static_cast<std::uint64_t>((log.end() - log.begin()) * log.frame_bytes()));
      for (std::int64_t at = log.begin(); at < log.end();) {
        const std::int64_t run = std::min(log.run_length(at), log.end() - at);
        writer.write({log[at], static_cast<std::size_t>(run * log.frame_bytes())});
        at += run;
      }
      writer.end_section();
    }
  }
}

template <Sampler S>
void ReplayBuffer<S>::load(const std::string& path) {
  const std::lock_guard lock(mutex_);
  SnapshotReader reader(path);
  reader.section<char>(kMeta);
  load_rows(reader);
  load_frames(reader);
  if (const std::string reason = why_rows_invalid(); !reason.empty()) reader.fail(reason);
  sampler_.load(reader, rows_);
  reader.finish();
  announce_all();
}

template <Sampler S>
void ReplayBuffer<S>::load_rows(SnapshotReader& reader) {
  Words head{reader, reader.section<std::int64_t>(kHead)};
  num_added_ = head.next(0, Words::kMaxCount);
  num_silent_boundaries_ = head.next(0, num_added_);
  settings_.n_step = head.next(1, rows_.num_slots() + (std::int64_t{1} << 30));
  settings_.gamma = std::bit_cast<double>(head.next());
  if (!(settings_.gamma >= 0.0 && settings_.gamma <= 1.0)) reader.fail("a gamma outside 0 to 1");
  const Philox::Key key = {std::bit_cast<std::uint64_t>(head.next()), std::bit_cast<std::uint64_t>(head.next())};
  random_ = Philox(key, std::bit_cast<std::uint64_t>(head.next()));
  std::size_t num_held = 0;
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    Lane& lane = rows_.lane(e);
    lane.first = head.next(0, lane.slots << 30);  // beyond that a key would overflow
    lane.next = head.next(lane.first, lane.first + lane.slots);
    lane.episode_start = head.next(0, lane.next);
    num_held += static_cast<std::size_t>(lane.num_held());
    for (StackLane& stack_lane : stacks_[static_cast<std::size_t>(e)]) {
      const std::int64_t begin = head.next(0, Words::kMaxCount);
      const std::int64_t end = head.next(begin, Words::kMaxCount);
      stack_lane.log().restart_at(begin);
      stack_lane.expect_frames(end - begin, head.next_stack());
    }
  }
  head.finish();

  const auto rewards = reader.section<double>(kRewards, num_held);
  const auto flags = reader.section<std::uint8_t>(kFlags, num_held);
  const auto actions = reader.section<std::byte>(kActions, num_held * static_cast<std::size_t>(rows_.action_bytes()));
  Words stacks{reader, reader.section<std::int64_t>(kStacks, num_held * settings_.obs.size() * 3)};
  std::size_t i = 0;
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    for (std::int64_t row = rows_.lane(e).first; row < rows_.lane(e).next; ++row, ++i) {
      const std::int64_t slot = rows_.lane(e).slot(row);
      if (!std::isfinite(rewards[i])) reader.fail("a reward that is not finite");
      if (flags[i] > 7) reader.fail("unknown flags");
      rows_.reward(slot) = rewards[i];
      rows_.flags(slot) = flags[i];
      std::memcpy(rows_.action(slot), actions.data() + i * static_cast<std::size_t>(rows_.action_bytes()),
                  static_cast<std::size_t>(rows_.action_bytes()));
      for (std::int64_t c = 0; c < rows_.num_obs(); ++c) rows_.stack(c, slot) = stacks.next_stack();
    }
  }
}

template <Sampler S>
void ReplayBuffer<S>::load_frames(SnapshotReader& reader) {
  for (auto& lane : stacks_) {
    for (StackLane& stack_lane : lane) {
      FrameLog& log = stack_lane.log();
      const std::uint64_t length = reader.begin_section(kFrames);
      const auto frame_bytes = static_cast<std::uint64_t>(log.frame_bytes());
      if (length % frame_bytes != 0) reader.fail("a section that ends within a frame");
      std::vector<std::byte> frame(static_cast<std::size_t>(length > 0 ? frame_bytes : 0));  // no larger than the file
      for (std::uint64_t i = 0; i < length / frame_bytes; ++i) {
        reader.read(frame);
        log.append(frame.data());
      }
      reader.end_section();
      if (const std::string reason = stack_lane.why_invalid(); !reason.empty()) reader.fail(reason);
    }
  }
}

std::string read_snapshot_meta(const std::string& path) {
  SnapshotReader reader(path);
  const std::vector<char> meta = reader.section<char>(kMeta);
  return {meta.begin(), meta.end()};
}

template void ReplayBuffer<UniformSampler>::save(const std::string&, const std::string&) const;
template void ReplayBuffer<UniformSampler>::load(const std::string&);
template void ReplayBuffer<PrioritizedSampler>::save(const std::string&, const std::string&) const;
template void ReplayBuffer<PrioritizedSampler>::load(const std::string&);

}  // namespace mujigae
