#include "mujigae/replay/single_frame_reader.hpp"

#include <algorithm>

namespace mujigae {

bool SingleFrameReader::can_read(const GatherSource& source, const BatchView& out) {
  const std::vector<StackLane>& stacks = source.stacks.front();
  return !out.wants_mirror_slots && std::all_of(stacks.begin(), stacks.end(), [](const StackLane& one) {
    return one.stack() == 1 && one.is_plain() && one.log().frame_bytes() < kLargeFrameBytes;
  });
}

SingleFrameReader::SingleFrameReader(const GatherSource& source, std::span<const std::int64_t> slots, const BatchView& out)
    : source_(source),
      slots_(slots),
      out_(out),
      fields_(source.rows.fields()),
      keyed_rows_(source.rows),
      frames_(kAhead * out.obs.size()) {}

void SingleFrameReader::read(std::size_t begin, std::size_t end) {
  const Span span{0, source_.settings.n_step - 1};
  const std::size_t count = end - begin;
  for (std::size_t i = 0; i < count + 2 * kAhead; ++i) {
    if (i < count) source_.rows.load_ahead(slots_[begin + i], span);
    if (i >= 2 * kAhead) copy_frames(begin + i - 2 * kAhead);
    if (i >= kAhead && i - kAhead < count) read_row(begin + i - kAhead);
  }
}

inline void SingleFrameReader::read_row(std::size_t i) {
  const RowRing::KeyedRow keyed = keyed_rows_[slots_[i]];
  std::int64_t last_slot = slots_[i];
  const Window window = fields_.window(source_.rows.lane(keyed.row.lane), last_slot, source_.settings.n_step, source_.settings.gamma);
  out_.reward[i] = static_cast<float>(window.reward);
  out_.discount[i] = static_cast<float>(window.discount);
  out_.terminated[i] = window.terminated;
  out_.key[i] = keyed.key;
  read_payload(i);
  locate(i, keyed.row.lane, last_slot);
}

inline void SingleFrameReader::read_payload(std::size_t i) {
  const RowRing& rows = source_.rows;
  const auto action_bytes = static_cast<std::size_t>(rows.action_bytes());
  copy_bytes(out_.action + i * action_bytes, fields_.payload(slots_[i]), action_bytes);
  for (std::size_t x = 0; x < rows.num_extras(); ++x) {
    const auto bytes = static_cast<std::size_t>(rows.extra_bytes(x));
    copy_bytes(out_.extras[x] + i * bytes, rows.extra(x, slots_[i]), bytes);
  }
}

// Where the observation of the row and the one at the end of its window lie: mostly beside each other.
inline void SingleFrameReader::locate(std::size_t i, std::int64_t lane, std::int64_t last_slot) {
  const std::vector<StackLane>& stacks = source_.stacks[static_cast<std::size_t>(lane)];
  for (std::size_t c = 0; c < stacks.size(); ++c) {
    const auto obs = static_cast<std::int64_t>(c);
    const auto bytes = static_cast<std::size_t>(source_.settings.obs[c].frame_bytes);
    const std::byte* const frame = stacks[c].plain_frame(fields_.stack(obs, slots_[i]).newest());
    const std::byte* const next = stacks[c].plain_frame(stacks[c].successor(fields_.stack(obs, last_slot)).newest());
    const bool are_neighbours = next == frame + bytes;
    load_ahead(frame, are_neighbours ? 2 * bytes : bytes);
    if (!are_neighbours) load_ahead(next, bytes);
    (&frames(i))[c] = {frame, next};
  }
}

inline void SingleFrameReader::copy_frames(std::size_t i) const {
  for (std::size_t c = 0; c < out_.obs.size(); ++c) {
    const auto bytes = static_cast<std::size_t>(source_.settings.obs[c].frame_bytes);
    const Frames& one = (&frames(i))[c];
    copy_bytes(out_.obs[c] + i * bytes, one.obs, bytes);
    copy_bytes(out_.next_obs[c] + i * bytes, one.next_obs, bytes);
  }
}

}  // namespace mujigae
