#include "mujigae/replay/gather.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "mujigae/replay/single_frame_reader.hpp"

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
    read_windows(first, slots);
    read_payloads(first, slots);
    if (out_.wants_mirror_slots) return;
    for (std::size_t c = 0; c < out_.obs.size(); ++c) locate(c, first, slots, copies);
  }

 private:
  void read_windows(std::int64_t first, std::span<const std::int64_t> slots) {
    const RowRing::Fields fields = source_.rows.fields();
    const Lane* const lanes = &source_.rows.lane(0);
    const auto [n_step, gamma] = std::pair(source_.settings.n_step, source_.settings.gamma);
    float *const reward = out_.reward + first, *const discount = out_.discount + first;
    bool* const terminated = out_.terminated + first;
    std::int64_t* const key = out_.key + first;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      std::int64_t last_slot = slots[i];
      const Window window = fields.window(lanes[block_[i].row.lane], last_slot, n_step, gamma);
      last_slots_[i] = last_slot;
      reward[i] = static_cast<float>(window.reward);
      discount[i] = static_cast<float>(window.discount);
      terminated[i] = window.terminated;
      key[i] = block_[i].key;
    }
  }

  void read_payloads(std::int64_t first, std::span<const std::int64_t> slots) const {
    const RowRing& rows = source_.rows;
    copy_payloads(out_.action + first * rows.action_bytes(), 0, rows.action_bytes(), slots);
    for (std::size_t x = 0; x < rows.num_extras(); ++x) {
      copy_payloads(out_.extras[x] + first * rows.extra_bytes(x), rows.extra_offset(x), rows.extra_bytes(x), slots);
    }
  }

  void copy_payloads(std::byte* to, std::int64_t offset, std::int64_t bytes, std::span<const std::int64_t> slots) const {
    const RowRing::Fields fields = source_.rows.fields();
    for (const std::int64_t slot : slots) {
      copy_bytes(to, fields.payload(slot) + offset, static_cast<std::size_t>(bytes));
      to += bytes;
    }
  }

  // The frames of both stacks of observation `c`.
  void locate(std::size_t c, std::int64_t first, std::span<const std::int64_t> slots, std::vector<FrameCopy>& copies) const {
    const RowRing::Fields fields = source_.rows.fields();
    const auto obs = static_cast<std::int64_t>(c);
    const std::int64_t bytes = source_.settings.obs[c].bytes();
    std::byte *obs_out = out_.obs[c] + first * bytes, *next_out = out_.next_obs[c] + first * bytes;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const StackLane& stacks = source_.stacks[static_cast<std::size_t>(block_[i].row.lane)][c];
      const Stack last = stacks.successor(fields.stack(obs, last_slots_[i]));
      stacks.locate_both(fields.stack(obs, slots[i]), obs_out, last, next_out, copies);
      obs_out += bytes;
      next_out += bytes;
    }
  }

  const GatherSource& source_;
  const BatchView& out_;
  RowRing::KeyedRows keyed_rows_;
  std::array<RowRing::KeyedRow, kBlock> block_;
  std::array<std::int64_t, kBlock> last_slots_;  // of the windows
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

void gather_rows(const GatherSource& source, std::span<const std::int64_t> slots, const BatchView& out, std::size_t begin,
                 std::size_t end) {
  if (SingleFrameReader::can_read(source, out)) return SingleFrameReader(source, slots, out).read(begin, end);
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
