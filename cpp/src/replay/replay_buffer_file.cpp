// A ReplayBuffer in a file: where everything lies, what a flush records, and what of it is accepted when the file is opened again.
//
//   states   HEAD of a snapshot, then alpha, beta and the largest priority
//   parts    rows with their checksums | priorities | slots for the chunks of all frame logs
//
// After a kill the disk has every page as it was at the last flush or at some time since. A row that the state calls held and that
// is not intact has been evicted since, so it is older than all rows that are held: a lane goes on after the last row that is not intact.
#include <bit>
#include <cmath>

#include "mujigae/check.hpp"
#include "mujigae/replay/replay_buffer.hpp"
#include "mujigae/replay/words.hpp"

namespace mujigae {

ReplayBuffer::~ReplayBuffer() {
  drawing_ = {};
  if (!file_ || !file_->is_owner()) return;
  try {
    if (why_rows_invalid().empty()) file_->flush(state(), true);
  } catch (...) {  // the last flush stands
  }
}

void ReplayBuffer::flush() {
  const auto locked = lock();
  if (file_) file_->flush(state(), false);
}

std::vector<std::int64_t> ReplayBuffer::state() const {
  std::vector<std::int64_t> words = head(ahead_.first_counter(random_));  // what was drawn ahead will be drawn again
  for (const double value : sampler_->state()) words.push_back(std::bit_cast<std::int64_t>(value));
  return words;
}

void ReplayBuffer::put_stacks_in_file() {
  const auto max_frames = [&](std::int64_t lane, std::size_t c) {  // a row that begins an episode brings k + 1 frames
    return (rows_.lane(lane).slots + 2) * (settings_.obs[c].stack + 1);
  };
  std::int64_t bytes = 0;
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    for (std::size_t c = 0; c < settings_.obs.size(); ++c) bytes += stacks(e, c).log().file_bytes(max_frames(e, c));
  }
  std::byte* begin = file_->map_part(bytes, false);
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) {
    for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
      stacks(e, c).log().put_in(*file_, begin, max_frames(e, c));
      begin += stacks(e, c).log().file_bytes(max_frames(e, c));
    }
  }
}

void ReplayBuffer::adopt_file() {
  const MappedFile::State found = file_->read_state();
  Words words{found.words, [this](const std::string& what) { file_->fail(concat("the buffer's state: ", what)); }};
  set_head(words);
  std::vector<double> sampler_state;
  while (words.at < words.words.size()) sampler_state.push_back(std::bit_cast<double>(words.next()));
  for (std::int64_t e = 0; e < rows_.num_lanes(); ++e) adopt_lane(e, found.is_closed);
  if (const std::string reason = why_rows_invalid(); !reason.empty()) file_->fail(reason);
  if (!sampler_->adopt(sampler_state, rows_)) file_->fail("an alpha, beta or largest priority that is out of range");
  for (std::int64_t e = 0; !found.is_closed && e < rows_.num_lanes(); ++e) {
    if (!rows_.begin_epoch(e)) file_->fail("a lane without keys for further rows");
  }
  announce_all();
  file_->flush(state(), false);  // from now on it is in use
}

void ReplayBuffer::adopt_lane(std::int64_t lane_index, bool is_closed) {
  Lane& lane = rows_.lane(lane_index);
  for (StackLane& stack_lane : stacks_[static_cast<std::size_t>(lane_index)]) {
    if (!stack_lane.log().adopt(stack_lane.expected_begin(), stack_lane.expected_end())) file_->fail("more frames than have a place");
    if (const std::string reason = stack_lane.why_invalid(); !reason.empty()) file_->fail(reason);
  }
  const std::int64_t first = first_intact_row(lane_index);
  if (is_closed && first > lane.first) {
    file_->fail(concat("row ", first - 1, " of lane ", lane_index, " or a frame of it is damaged"), &rows_.reward(lane.slot(first - 1)));
  }
  if (first > lane.first) lane.begins_episode = lane.num_held() > 0 && first == lane.next;
  lane.first = first;
  if (lane.num_held() == 0) {
    lane.episode_start = lane.next;
    for (StackLane& stack_lane : stacks_[static_cast<std::size_t>(lane_index)]) stack_lane.clear();
    return;
  }
  for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
    stacks(lane_index, c).drop_before(rows_.stack(static_cast<std::int64_t>(c), lane.slot(first)).oldest());
  }
  if (lane.has_open_episode()) rows_.reopen_episode(lane_index);
}

std::int64_t ReplayBuffer::first_intact_row(std::int64_t lane_index) const {
  const Lane& lane = rows_.lane(lane_index);
  std::vector<std::int64_t> first_frames;
  for (const StackLane& stack_lane : stacks_[static_cast<std::size_t>(lane_index)]) {
    first_frames.push_back(stack_lane.log().first_intact());
  }
  std::int64_t row = lane.next;
  while (row > lane.first && is_intact(lane_index, row - 1, first_frames)) --row;
  return row;
}

bool ReplayBuffer::is_intact(std::int64_t lane_index, std::int64_t row, std::span<const std::int64_t> first_frames) const {
  const Lane& lane = rows_.lane(lane_index);
  const std::int64_t slot = lane.slot(row);
  const bool may_be_interrupted = lane.has_open_episode() && row == lane.next - 1;
  if (!rows_.is_intact({lane_index, row}, may_be_interrupted) || !RowRing::are_flags(rows_.flags(slot))) return false;
  if (!(std::abs(rows_.reward(slot)) <= max_reward(settings_.n_step))) return false;
  for (std::size_t c = 0; c < settings_.obs.size(); ++c) {
    const Stack& stack = rows_.stack(static_cast<std::int64_t>(c), slot);
    if (stack.oldest() < first_frames[c] || stack.newest() + 1 >= stacks(lane_index, c).log().end()) return false;
  }
  return true;
}

}  // namespace mujigae
