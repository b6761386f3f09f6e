#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "mujigae/replay/batch.hpp"

using namespace mujigae;

namespace {

const std::vector<ObsLayout> kLayouts = {{100, 4}, {3, 1}};
constexpr std::int64_t kActionBytes = 5;

Schema schema_of(std::vector<std::int64_t> extra_bytes = {}) {
  BufferSettings settings{};
  settings.obs = kLayouts;
  settings.action_bytes = kActionBytes;
  settings.extra_bytes = std::move(extra_bytes);
  return batch_schema(settings);
}

std::vector<std::int64_t> row_bytes_of(const Schema& schema) {
  std::vector<std::int64_t> bytes;
  for (const Field& field : schema) bytes.push_back(field.row_bytes);
  return bytes;
}

}  // namespace

TEST_CASE("fields of a batch are apart, and each begins at a cache line") {
  const auto arena = std::make_shared<Arena>();
  const Schema schema = schema_of({6, 24});
  const auto row_bytes = row_bytes_of(schema);
  CHECK(row_bytes == std::vector<std::int64_t>{400, 3, 5, 4, 400, 3, 4, 1, 4, 8, 8, 6, 24});
  for (const std::int64_t size : {1, 7, 163, 164, 1000}) {
    const BatchMemory memory(*arena, size, schema);
    const auto fields = fields_of(memory.view, schema);
    REQUIRE(fields.size() == row_bytes.size());
    std::vector<std::pair<const std::byte*, std::int64_t>> extents;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      CHECK(reinterpret_cast<std::uintptr_t>(fields[i]) % 64 == 0);
      std::fill_n(fields[i], row_bytes[i] * size, std::byte{1});  // all of it is there: the sanitizer says
      extents.emplace_back(fields[i], row_bytes[i] * size);
    }
    std::sort(extents.begin(), extents.end());
    for (std::size_t i = 1; i < extents.size(); ++i) CHECK(extents[i - 1].first + extents[i - 1].second <= extents[i].first);
  }
}

TEST_CASE("small fields share a block; a large one has its own, so that keys do not keep observations") {
  const auto arena = std::make_shared<Arena>();
  const auto num_blocks = [&](std::int64_t size) {
    const BatchMemory memory(*arena, size, schema_of());
    return std::set(memory.owners.begin(), memory.owners.end()).size();
  };
  CHECK(num_blocks(163) == 1);
  CHECK(num_blocks(164) == 3);
}

TEST_CASE("a view of fields is the view that gave them") {
  const auto arena = std::make_shared<Arena>();
  const Schema schema = schema_of({6});
  const BatchMemory memory(*arena, 3, schema);
  const auto fields = fields_of(memory.view, schema);
  CHECK(fields_of(view_of(3, schema, fields), schema) == fields);
  CHECK(std::set(fields.begin(), fields.end()).size() == fields.size());
}

TEST_CASE("a batch is copied field by field") {
  const auto arena = std::make_shared<Arena>();
  const Schema schema = schema_of({6, 24});
  const auto row_bytes = row_bytes_of(schema);
  const BatchMemory from(*arena, 9, schema), to(*arena, 9, schema);
  std::byte value{0};
  for (std::size_t i = 0; i < row_bytes.size(); ++i) {
    value = static_cast<std::byte>(i % 2);
    std::fill_n(fields_of(from.view, schema)[i], 9 * row_bytes[i], value);
  }
  copy_batch(from.view, to.view, schema);
  for (std::size_t i = 0; i < row_bytes.size(); ++i) {
    CHECK(std::equal(fields_of(from.view, schema)[i], fields_of(from.view, schema)[i] + 9 * row_bytes[i], fields_of(to.view, schema)[i]));
  }
}
