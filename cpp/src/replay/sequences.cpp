#include "mujigae/replay/sequences.hpp"

#include <cstring>

#include "mujigae/check.hpp"

namespace mujigae {
namespace {

void zero(std::byte* from, std::int64_t bytes) { std::memset(from, 0, static_cast<std::size_t>(bytes)); }

// One sequence: rows first ... last of a lane, of which row `begin` + t stands at t.
class SequenceReader {
 public:
  SequenceReader(const GatherSource& source, const SequenceShape& shape, const BatchView& out)
      : source_(source), shape_(shape), out_(out) {}

  void read(const RowRing::KeyedRow& start, std::int64_t to) {
    find_rows(start.row);
    out_.key[to] = start.key;
    const std::int64_t at = to * shape_.num_steps();
    for (std::int64_t t = 0; t < shape_.num_steps(); ++t) read_row(begin_ + t, at + t);
    for (std::size_t c = 0; c < out_.obs.size(); ++c)
      read_obs(c, out_.obs[c] + to * (shape_.num_steps() + 1) * source_.settings.obs[c].bytes());
  }

 private:
  const RowRing& rows() const { return source_.rows; }
  bool has_ended(std::int64_t row) const { return rows().flags(lane_->slot(row)) != 0; }
  bool is_there(std::int64_t row) const { return row >= first_ && row <= last_; }

  void find_rows(const RowRing::Row& start) {
    lane_index_ = start.lane;
    lane_ = &rows().lane(start.lane);
    begin_ = start.row - shape_.burn_in;
    first_ = last_ = start.row;
    while (first_ > begin_ && first_ > lane_->first && !has_ended(first_ - 1)) --first_;
    while (last_ + 1 < start.row + shape_.length && last_ + 1 < lane_->next && !has_ended(last_)) ++last_;
  }

  void read_row(std::int64_t row, std::int64_t at) const {
    const bool is_held = is_there(row);
    const std::int64_t slot = is_held ? lane_->slot(row) : 0, action_bytes = rows().action_bytes();
    out_.mask[at] = is_held;
    out_.is_first[at] = is_held && (row > lane_->first ? has_ended(row - 1) : lane_->begins_episode);
    out_.reward[at] = is_held ? static_cast<float>(rows().reward(slot)) : 0.0F;
    const bool bootstraps = is_held && (rows().flags(slot) & RowRing::kTerminated) == 0;
    out_.discount[at] = bootstraps ? static_cast<float>(source_.settings.gamma) : 0.0F;
    copy_field(out_.action, is_held ? rows().action(slot) : nullptr, at, action_bytes);
    for (std::size_t x = 0; x < rows().num_extras(); ++x) {
      copy_field(out_.extras[x], is_held ? rows().extra(x, slot) : nullptr, at, rows().extra_bytes(x));
    }
  }

  static void copy_field(std::byte* field, const std::byte* from, std::int64_t at, std::int64_t bytes) {
    if (from == nullptr) return zero(field + at * bytes, bytes);
    copy_bytes(field + at * bytes, from, static_cast<std::size_t>(bytes));
  }

  // Observations first ... last, then the successor of the last; zeros around them.
  void read_obs(std::size_t c, std::byte* out) const {
    const std::int64_t bytes = source_.settings.obs[c].bytes(), num_before = first_ - begin_, num_held = last_ - first_ + 2;
    const auto obs = static_cast<std::int64_t>(c);
    const StackLane& stacks = source_.stacks[static_cast<std::size_t>(lane_index_)][c];
    zero(out, num_before * bytes);
    zero(out + (num_before + num_held) * bytes, (shape_.num_steps() + 1 - num_before - num_held) * bytes);
    out += num_before * bytes;
    const Stack& first = rows().stack(obs, lane_->slot(first_));
    if (stacks.stack() == 1) return stacks.log().read(first.newest(), num_held, out, nullptr);
    for (std::int64_t row = first_; row <= last_; ++row, out += bytes) stacks.read(rows().stack(obs, lane_->slot(row)), out);
    stacks.read(stacks.successor(rows().stack(obs, lane_->slot(last_))), out);
  }

  const GatherSource& source_;
  const SequenceShape& shape_;
  const BatchView& out_;
  const Lane* lane_ = nullptr;
  std::int64_t lane_index_ = 0, begin_ = 0, first_ = 0, last_ = 0;
};

}  // namespace

void check_sequence(const SequenceShape& shape) {
  if (shape.length < 1) fail_value("length: expected at least 1, got ", shape.length);
  if (shape.burn_in < 0) fail_value("burn_in: expected at least 0, got ", shape.burn_in);
  if (shape.length > SequenceShape::kMaxSteps || shape.burn_in > SequenceShape::kMaxSteps) {
    fail_value("length: expected length and burn_in of at most ", SequenceShape::kMaxSteps, ", got ", shape.length, " and ", shape.burn_in);
  }
}

Schema sequence_schema(const BufferSettings& settings, const SequenceShape& shape) {
  const std::int64_t steps = shape.num_steps();
  Schema schema;
  const auto append = [&](FieldKind kind, std::size_t index, std::int64_t step_bytes, std::int64_t num_steps) {
    schema.push_back({kind, index, step_bytes * num_steps, num_steps});
  };
  for (std::size_t c = 0; c < settings.obs.size(); ++c) append(FieldKind::kObs, c, settings.obs[c].bytes(), steps + 1);
  append(FieldKind::kAction, 0, settings.action_bytes, steps);
  append(FieldKind::kReward, 0, sizeof(float), steps);
  append(FieldKind::kDiscount, 0, sizeof(float), steps);
  append(FieldKind::kMask, 0, sizeof(bool), steps);
  append(FieldKind::kIsFirst, 0, sizeof(bool), steps);
  schema.push_back({FieldKind::kWeight, 0, sizeof(float)});
  schema.push_back({FieldKind::kKey, 0, sizeof(std::int64_t)});
  schema.push_back({FieldKind::kProbability, 0, sizeof(double)});
  for (std::size_t x = 0; x < settings.extra_bytes.size(); ++x) append(FieldKind::kExtra, x, settings.extra_bytes[x], steps);
  return schema;
}

void gather_sequences(const GatherSource& source, std::span<const std::int64_t> slots, const SequenceShape& shape, const BatchView& out) {
  RowRing::KeyedRows keyed_rows(source.rows);
  SequenceReader reader(source, shape, out);
  for (std::size_t i = 0; i < slots.size(); ++i) reader.read(keyed_rows[slots[i]], static_cast<std::int64_t>(i));
}

}  // namespace mujigae
