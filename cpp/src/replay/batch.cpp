#include "mujigae/replay/batch.hpp"

#include <algorithm>
#include <cstring>

namespace mujigae {
namespace {

constexpr std::int64_t kLine = static_cast<std::int64_t>(Arena::kAlignment);
std::int64_t in_lines(std::int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

std::vector<std::int64_t> row_bytes_of(const std::vector<ObsLayout>& obs, std::int64_t action_bytes) {
  std::vector<std::int64_t> row_bytes;
  const auto append_obs = [&] {
    for (const ObsLayout& one : obs) row_bytes.push_back(one.bytes());
  };
  append_obs();
  row_bytes.insert(row_bytes.end(), {action_bytes, sizeof(float)});
  append_obs();
  row_bytes.insert(row_bytes.end(), {sizeof(float), sizeof(bool), sizeof(float), sizeof(std::int64_t)});
  return row_bytes;
}

std::vector<std::byte*> fields_of(const BatchView& batch) {
  std::vector<std::byte*> fields;
  fields.reserve(2 * batch.obs.size() + 6);
  fields.insert(fields.end(), batch.obs.begin(), batch.obs.end());
  fields.push_back(batch.action);
  fields.push_back(reinterpret_cast<std::byte*>(batch.reward));
  fields.insert(fields.end(), batch.next_obs.begin(), batch.next_obs.end());
  fields.push_back(reinterpret_cast<std::byte*>(batch.discount));
  fields.push_back(reinterpret_cast<std::byte*>(batch.terminated));
  fields.push_back(reinterpret_cast<std::byte*>(batch.weight));
  fields.push_back(reinterpret_cast<std::byte*>(batch.key));
  return fields;
}

BatchView view_of(std::int64_t batch_size, std::span<std::byte* const> fields) {
  const std::size_t num_obs = (fields.size() - 6) / 2;
  const auto obs = fields.first(num_obs), next_obs = fields.subspan(num_obs + 2, num_obs), rest = fields.last(4);
  return {batch_size,
          {obs.begin(), obs.end()},
          {next_obs.begin(), next_obs.end()},
          fields[num_obs],
          reinterpret_cast<float*>(fields[num_obs + 1]),
          reinterpret_cast<float*>(rest[0]),
          reinterpret_cast<bool*>(rest[1]),
          reinterpret_cast<float*>(rest[2]),
          reinterpret_cast<std::int64_t*>(rest[3])};
}

BatchMemory::BatchMemory(Arena& arena, std::int64_t batch_size, const std::vector<std::int64_t>& row_bytes) {
  const auto is_small = [&](std::int64_t bytes) { return bytes * batch_size <= kSmallBytes; };
  std::int64_t shared_bytes = 0;
  for (const std::int64_t bytes : row_bytes) shared_bytes += is_small(bytes) ? in_lines(bytes * batch_size) : 0;
  const std::shared_ptr<std::byte> shared = arena.take(static_cast<std::size_t>(shared_bytes));
  std::vector<std::byte*> fields;
  std::byte* next = shared.get();
  fields.reserve(row_bytes.size());
  owners.reserve(row_bytes.size());
  for (const std::int64_t bytes : row_bytes) {
    owners.push_back(is_small(bytes) ? shared : arena.take(static_cast<std::size_t>(bytes * batch_size)));
    fields.push_back(is_small(bytes) ? next : owners.back().get());
    if (is_small(bytes)) next += in_lines(bytes * batch_size);
  }
  view = view_of(batch_size, fields);
}

void copy_batch(const BatchView& from, const BatchView& to, const std::vector<std::int64_t>& row_bytes) {
  const std::vector<std::byte*> sources = fields_of(from), targets = fields_of(to);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    std::memcpy(targets[i], sources[i], static_cast<std::size_t>(row_bytes[i] * from.batch_size));
  }
}

}  // namespace mujigae
