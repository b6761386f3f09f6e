#include "mujigae/replay/batch.hpp"

#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>

#include "mujigae/storage/available_memory.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kLine = static_cast<std::int64_t>(Arena::kAlignment);
std::int64_t in_lines(std::int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

std::byte* field_of(const BatchView& batch, const Field& field) {
  switch (field.kind) {
    case FieldKind::kObs: return batch.obs[field.index];
    case FieldKind::kAction: return batch.action;
    case FieldKind::kReward: return reinterpret_cast<std::byte*>(batch.reward);
    case FieldKind::kNextObs: return batch.next_obs[field.index];
    case FieldKind::kDiscount: return reinterpret_cast<std::byte*>(batch.discount);
    case FieldKind::kTerminated: return reinterpret_cast<std::byte*>(batch.terminated);
    case FieldKind::kWeight: return reinterpret_cast<std::byte*>(batch.weight);
    case FieldKind::kKey: return reinterpret_cast<std::byte*>(batch.key);
    case FieldKind::kProbability: return reinterpret_cast<std::byte*>(batch.probability);
    case FieldKind::kExtra: return batch.extras[field.index];
    case FieldKind::kMask: return reinterpret_cast<std::byte*>(batch.mask);
    case FieldKind::kIsFirst: return reinterpret_cast<std::byte*>(batch.is_first);
  }
  throw std::logic_error("a field of no kind");
}

void set_field(BatchView& batch, const Field& field, std::byte* memory) {
  switch (field.kind) {
    case FieldKind::kObs: batch.obs.push_back(memory); break;
    case FieldKind::kAction: batch.action = memory; break;
    case FieldKind::kReward: batch.reward = reinterpret_cast<float*>(memory); break;
    case FieldKind::kNextObs: batch.next_obs.push_back(memory); break;
    case FieldKind::kDiscount: batch.discount = reinterpret_cast<float*>(memory); break;
    case FieldKind::kTerminated: batch.terminated = reinterpret_cast<bool*>(memory); break;
    case FieldKind::kWeight: batch.weight = reinterpret_cast<float*>(memory); break;
    case FieldKind::kKey: batch.key = reinterpret_cast<std::int64_t*>(memory); break;
    case FieldKind::kProbability: batch.probability = reinterpret_cast<double*>(memory); break;
    case FieldKind::kExtra: batch.extras.push_back(memory); break;
    case FieldKind::kMask: batch.mask = reinterpret_cast<bool*>(memory); break;
    case FieldKind::kIsFirst: batch.is_first = reinterpret_cast<bool*>(memory); break;
  }
}

}  // namespace

std::vector<std::byte*> fields_of(const BatchView& batch, const Schema& schema) {
  std::vector<std::byte*> fields;
  fields.reserve(schema.size());
  for (const Field& field : schema) fields.push_back(field_of(batch, field));
  return fields;
}

BatchView view_of(std::int64_t batch_size, const Schema& schema, std::span<std::byte* const> fields) {
  BatchView view{};
  view.batch_size = batch_size;
  for (std::size_t i = 0; i < schema.size(); ++i) set_field(view, schema[i], fields[i]);
  return view;
}

BatchMemory::BatchMemory(Arena& arena, std::int64_t batch_size, const Schema& schema) {
  const auto bytes_of = [&](const Field& field) {
    const std::int64_t bytes = saturating_product(field.row_bytes, batch_size);
    if (bytes == std::numeric_limits<std::int64_t>::max()) throw std::bad_alloc();
    return bytes;
  };
  const auto is_small = [&](const Field& field) { return bytes_of(field) <= kSmallBytes; };
  std::int64_t shared_bytes = 0;
  for (const Field& field : schema) shared_bytes += is_small(field) ? in_lines(bytes_of(field)) : 0;
  const std::shared_ptr<std::byte> shared = arena.take(static_cast<std::size_t>(shared_bytes));
  std::vector<std::byte*> fields;
  std::byte* next = shared.get();
  fields.reserve(schema.size());
  owners.reserve(schema.size());
  for (const Field& field : schema) {
    owners.push_back(is_small(field) ? shared : arena.take(static_cast<std::size_t>(bytes_of(field))));
    fields.push_back(is_small(field) ? next : owners.back().get());
    if (is_small(field)) next += in_lines(bytes_of(field));
  }
  view = view_of(batch_size, schema, fields);
}

void copy_batch(const BatchView& from, const BatchView& to, const Schema& schema) {
  for (const Field& field : schema) {
    std::memcpy(field_of(to, field), field_of(from, field), static_cast<std::size_t>(field.row_bytes * from.batch_size));
  }
}

}  // namespace mujigae
