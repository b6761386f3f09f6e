#include "mujigae/replay/prefetch_queue.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <span>
#include <stdexcept>
#include <utility>

#include "mujigae/check.hpp"

namespace mujigae {
namespace {

constexpr std::uint32_t kDrawn = section_tag("DRAW");
constexpr std::int64_t kHeadBytes = 2 * sizeof(std::int64_t), kMassBytes = sizeof(double);

// Counters go round after 2^64.
bool is_after(std::uint64_t later, std::uint64_t earlier) { return static_cast<std::int64_t>(later - earlier) > 0; }

}  // namespace

DrawnBatch PrefetchQueue::pop() {
  DrawnBatch batch = std::move(batches_.front());
  batches_.pop_front();
  batch.frames.finish();
  return batch;
}

void PrefetchQueue::finish() {
  for (DrawnBatch& batch : batches_) batch.frames.finish();
}

bool PrefetchQueue::is_finished() const {
  return std::all_of(batches_.begin(), batches_.end(), [](const DrawnBatch& batch) { return batch.frames.is_done(); });
}

void PrefetchQueue::drop(Philox& random) {
  random = Philox(random.key(), first_counter(random));
  batches_.clear();
}

std::int64_t PrefetchQueue::nbytes() const {
  std::int64_t bytes = 0;
  for (const DrawnBatch& batch : batches_) bytes += batch.batch_size() * row_bytes();
  return bytes;
}

std::int64_t PrefetchQueue::row_bytes() const {
  std::int64_t bytes = kMassBytes;
  for (const Field& field : schema_) bytes += field.row_bytes;
  return bytes;
}

std::string PrefetchQueue::why_invalid() const {
  if (static_cast<std::int64_t>(batches_.size()) > depth_) {
    return concat(batches_.size(), " batches are drawn ahead, at most ", depth_, " should be");
  }
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    const DrawnBatch& batch = batches_[i];
    if (!is_for(batch.batch_size())) return "batches of different sizes are drawn ahead";
    if (i > 0 && !is_after(batch.counter, batches_[i - 1].counter)) return "batches drawn ahead are out of order";
    const auto is_mass = [](double mass) { return mass > 0.0 && std::isfinite(mass); };
    if (!std::all_of(batch.masses.begin(), batch.masses.end(), is_mass)) return "a batch drawn ahead has a mass that is not positive";
  }
  return {};
}

// --- snapshots

// The weights come with the hand-out.
template <class Visit>
void PrefetchQueue::for_each_saved_field(const BatchView& batch, const Visit& visit) const {
  const std::vector<std::byte*> fields = fields_of(batch, schema_);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (schema_[i].kind == FieldKind::kWeight) continue;
    visit(std::span(fields[i], static_cast<std::size_t>(schema_[i].row_bytes * batch.batch_size)));
  }
}

std::int64_t PrefetchQueue::saved_row_bytes() const { return row_bytes() - static_cast<std::int64_t>(sizeof(float)); }

void PrefetchQueue::save(SnapshotWriter& writer) {
  finish();
  for (const DrawnBatch& batch : batches_) {
    const std::array<std::int64_t, 2> head = {std::bit_cast<std::int64_t>(batch.counter), batch.batch_size()};
    writer.begin_section(kDrawn, static_cast<std::uint64_t>(kHeadBytes + batch.batch_size() * saved_row_bytes()));
    writer.write_values(std::span<const std::int64_t>(head));
    writer.write_values(std::span<const double>(batch.masses));
    for_each_saved_field(batch.memory.view, [&writer](std::span<std::byte> bytes) { writer.write(bytes); });
    writer.end_section();
  }
}

DrawnBatch PrefetchQueue::read_batch(SnapshotReader& reader, Arena& arena) const {
  const std::uint64_t length = reader.begin_section(kDrawn);
  std::array<std::int64_t, 2> head;
  if (length < sizeof head) reader.fail("a batch drawn ahead without a size");
  reader.read(std::as_writable_bytes(std::span(head)));
  const auto payload = static_cast<std::int64_t>(length) - kHeadBytes;
  if (head[1] < 1 || head[1] > payload || payload % head[1] != 0 || payload / head[1] != saved_row_bytes()) {
    reader.fail("a batch drawn ahead of another size than its section");
  }
  DrawnBatch batch{std::bit_cast<std::uint64_t>(head[0]),
                   std::vector<double>(static_cast<std::size_t>(head[1])),
                   BatchMemory(arena, head[1], schema_),
                   {}};
  reader.read(std::as_writable_bytes(std::span(batch.masses)));
  for_each_saved_field(batch.memory.view, [&reader](std::span<std::byte> bytes) { reader.read(bytes); });
  reader.end_section();
  return batch;
}

void PrefetchQueue::check_windows(SnapshotReader& reader, const BatchView& batch, const RowRing& rows) {
  const auto* flags = reinterpret_cast<const unsigned char*>(batch.terminated);
  for (std::int64_t i = 0; i < batch.batch_size; ++i) {
    rows.row_of_key(batch.key[i], static_cast<std::size_t>(i));
    if (!std::isfinite(batch.reward[i])) reader.fail("a batch drawn ahead with a reward that is not finite");
    if (flags[i] > 1) reader.fail("unknown flags");
    if (!(batch.discount[i] >= 0.0F && batch.discount[i] <= (flags[i] == 0 ? 1.0F : 0.0F))) {
      reader.fail("a batch drawn ahead with a discount that is out of range");
    }
  }
}

void PrefetchQueue::load(SnapshotReader& reader, const RowRing& rows, const Philox& random, Arena& arena) {
  batches_.clear();
  while (reader.next_is(kDrawn)) {
    push(read_batch(reader, arena));
    try {
      check_windows(reader, batches_.back().memory.view, rows);
    } catch (const std::out_of_range& error) {  // of a key
      reader.fail(error.what());
    }
    if (const std::string reason = why_invalid(); !reason.empty()) reader.fail(reason);
  }
  if (!is_empty() && !is_after(random.counter(), batches_.back().counter)) reader.fail("a batch drawn ahead by numbers to come");
}

}  // namespace mujigae
