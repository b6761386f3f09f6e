#include "mujigae/replay/schema.hpp"

#include <array>

namespace mujigae {
namespace {

struct Known {
  const char *name, *dtype;
};

// In the order of FieldKind.
constexpr std::array<Known, 12> kKnown = {{{"obs", nullptr},
                                           {"action", nullptr},
                                           {"reward", "float32"},
                                           {"next_obs", nullptr},
                                           {"discount", "float32"},
                                           {"terminated", "bool"},
                                           {"weight", "float32"},
                                           {"key", "int64"},
                                           {"probability", "float64"},
                                           {"extras", nullptr},
                                           {"mask", "bool"},
                                           {"is_first", "bool"}}};

const Known& known(FieldKind kind) { return kKnown[static_cast<std::size_t>(kind)]; }

void append_obs(Schema& schema, FieldKind kind, const BufferSettings& settings) {
  for (std::size_t c = 0; c < settings.obs.size(); ++c) schema.push_back({kind, c, settings.obs[c].bytes()});
}

}  // namespace

const char* name_of(FieldKind kind) { return known(kind).name; }
const char* dtype_of(FieldKind kind) { return known(kind).dtype; }

Schema batch_schema(const BufferSettings& settings) {
  Schema schema;
  append_obs(schema, FieldKind::kObs, settings);
  schema.push_back({FieldKind::kAction, 0, settings.action_bytes});
  schema.push_back({FieldKind::kReward, 0, sizeof(float)});
  append_obs(schema, FieldKind::kNextObs, settings);
  schema.push_back({FieldKind::kDiscount, 0, sizeof(float)});
  schema.push_back({FieldKind::kTerminated, 0, sizeof(bool)});
  schema.push_back({FieldKind::kWeight, 0, sizeof(float)});
  schema.push_back({FieldKind::kKey, 0, sizeof(std::int64_t)});
  schema.push_back({FieldKind::kProbability, 0, sizeof(double)});
  for (std::size_t x = 0; x < settings.extra_bytes.size(); ++x) schema.push_back({FieldKind::kExtra, x, settings.extra_bytes[x]});
  return schema;
}

}  // namespace mujigae
