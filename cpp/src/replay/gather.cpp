#include "mujigae/replay/gather.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace mujigae {
namespace {

constexpr std::size_t kBlock = 64, kMinSharedRows = 4;
constexpr std::int64_t kSharedBytes = 1 << 18;                                  // of a block that a thread takes
constexpr std::int64_t kStreamedBytes = 4 << 20;                               // more than a cache keeps beside all else
constexpr std::int64_t kThreadedBytes = 1 << 20, kBackgroundBytes = 1 << 16;  // less is copied before a thread has woken up

class BlockReader {
 public:
  BlockReader(const GatherSource& source, const BatchView& out) : source_(source), out_(out), keyed_rows_(source.rows) {}

  // Rows first ... first + slots.size() of the batch; the copies of their frames are appended.
  void read(std::int64_t first, std::span<const std::int64_t> slots, std::vector<FrameCopy>& copies) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      block_[i] = keyed_rows_[slots[i]];
      source_.rows.load_ahead(slots[i], {0, source_.settings.n_step - 1});
    }
    for (std::size_t i = 0; i < slots.size(); ++i) read_row(slots[i], block_[i], first + static_cast<std::int64_t>(i), copies);
  }

 private:
  void read_row(std::int64_t slot, const RowRing::KeyedRow& keyed, std::int64_t to, std::vector<FrameCopy>& copies) const {
    const RowRing& rows = source_.rows;
    const Lane& lane = rows.lane(keyed.row.lane);
    std::int64_t last_slot = slot;
    const Window window = rows.window(lane, last_slot, source_.settings.n_step, source_.settings.gamma);
    out_.reward[to] = static_cast<float>(window.reward);
    out_.discount[to] = static_cast<float>(window.discount);
    out_.terminated[to] = window.terminated;
    out_.key[to] = keyed.key;
    copy_bytes(out_.action + to * rows.action_bytes(), rows.action(slot), static_cast<std::size_t>(rows.action_bytes()));
    for (std::size_t x = 0; x < rows.num_extras(); ++x) {
      copy_bytes(out_.extras[x] + to * rows.extra_bytes(x), rows.extra(x, slot), static_cast<std::size_t>(rows.extra_bytes(x)));
    }
    if (out_.wants_mirror_slots) return;
    for (std::size_t c = 0; c < out_.obs.size(); ++c) {
      const StackLane& stacks = source_.stacks[static_cast<std::size_t>(keyed.row.lane)][c];
      const auto obs = static_cast<std::int64_t>(c);
      const std::int64_t at = to * source_.settings.obs[c].bytes();
      const Stack last = stacks.successor(rows.stack(obs, last_slot));
      stacks.locate_both(rows.stack(obs, slot), out_.obs[c] + at, last, out_.next_obs[c] + at, copies);
    }
  }

  const GatherSource& source_;
  const BatchView& out_;
  RowRing::KeyedRows keyed_rows_;
  std::array<RowRing::KeyedRow, kBlock> block_;
};

// Rows begin ... end of the batch, block by block; after each, after_block(copies of its frames).
template <class AfterBlock>
void for_each_block(const GatherSource& source, std::span<const std::int64_t> slots, const BatchView& out, std::size_t begin,
                    std::size_t end, std::vector<FrameCopy>& copies, const AfterBlock& after_block) {
  BlockReader reader(source, out);
  for (; begin < end; begin += kBlock) {
    reader.read(static_cast<std::int64_t>(begin), slots.subspan(begin, std::min(kBlock, end - begin)), copies);
    after_block();
  }
}

std::int64_t obs_bytes(const GatherSource& source) {  // of a row
  std::int64_t bytes = 0;
  for (const ObsLayout& obs : source.settings.obs) bytes += 2 * obs.bytes();
  return bytes;
}

Stores stores_for(const GatherSource& source, const BatchView& out) {
  return obs_bytes(source) * out.batch_size > kStreamedBytes ? Stores::kStreamed : Stores::kCached;
}

void gather_rows(const GatherSource& source, std::span<const std::int64_t> slots, const BatchView& out, std::size_t begin, std::size_t end) {
  std::vector<FrameCopy> copies;
  const Stores stores = stores_for(source, out);
  for_each_block(source, slots, out, begin, end, copies, [&] {
    copy_frames(copies, stores);
    copies.clear();
  });
}

}  // namespace

void gather(const GatherSource& source, std::span<const std::int64_t> slots, const BatchView& out) {
  const std::int64_t row_bytes = obs_bytes(source);
  const bool is_small = out.wants_mirror_slots || row_bytes * out.batch_size <= kThreadedBytes;
  if (is_small || num_copy_threads() == 1) return gather_rows(source, slots, out, 0, slots.size());
  const std::size_t step = std::clamp(static_cast<std::size_t>(kSharedBytes / row_bytes), kMinSharedRows, kBlock);
  share(slots.size(), step, [&](std::size_t begin, std::size_t end) { gather_rows(source, slots, out, begin, end); });
}

FrameCopies gather_behind(const GatherSource& source, std::span<const std::int64_t> slots, const BatchView& out) {
  if (source.settings.compress || obs_bytes(source) * out.batch_size <= kBackgroundBytes) {
    gather(source, slots, out);
    return {};
  }
  std::vector<FrameCopy> copies;
  copies.reserve(2 * slots.size() * out.obs.size());
  for_each_block(source, slots, out, 0, slots.size(), copies, [] {});
  return FrameCopies::start(std::move(copies), stores_for(source, out));
}

}  // namespace mujigae
