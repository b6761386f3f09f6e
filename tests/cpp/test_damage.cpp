// Damage to the file of a ReplayBuffer, byte by byte.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"
#include "temporary_folder.hpp"

using namespace mujigae;

namespace {

const std::vector<ObsLayout> kLayouts = {{300, 3}, {8, 1}}, kCoded = {{1100, 3}, {8, 1}};

// Both environments count up their actions; what the buffer gives for an action is what was added with it.
template <class S>
struct Remembered {
  BufferSettings settings;
  std::map<std::int64_t, Transition> steps;

  explicit Remembered(bool compress) : settings(settings_of(6, 2, 2, compress ? kCoded : kLayouts)) { settings.compress = compress; }

  std::unique_ptr<BufferOf<S>> open(std::unique_ptr<MappedFile> file) const {
    return std::make_unique<BufferOf<S>>(settings, typename S::Settings{}, std::move(file));
  }
  void play(BufferOf<S>& buffer, std::int64_t num_steps) {
    RollingEnvironment first(1, settings.obs), second(2, settings.obs);
    for (std::int64_t t = 1; t <= num_steps; ++t) {
      const Transition a = first.step(t), b = second.step(-t);
      buffer.add(OwnedSteps(1, {0, 1}, {a, b}).view());
      steps.insert_or_assign(t, a);
      steps.insert_or_assign(-t, b);
    }
  }
  int num_wrong_rows(BufferOf<S>& buffer) const {
    if (buffer.size() == 0) return 0;
    OwnedBatch batch(16, settings.obs);
    buffer.sample(0.4, batch.view());
    int num_wrong = 0;
    for (std::size_t i = 0; i < batch.action.size(); ++i) {
      const std::int64_t action = batch.action[i], next = action + (action > 0 ? 1 : -1);
      const auto is_row = [i](const Bytes& all, const Bytes& one) {
        return std::equal(one.begin(), one.end(), all.begin() + static_cast<std::ptrdiff_t>(i * one.size()));
      };
      for (std::size_t c = 0; c < settings.obs.size(); ++c) {
        const bool is_next = is_row(batch.next_obs[c], steps.at(action).next_obs[c]) ||
                             (steps.count(next) == 1 && is_row(batch.next_obs[c], steps.at(next).next_obs[c]));
        num_wrong += !is_row(batch.obs[c], steps.at(action).obs[c]) || !is_next;
      }
    }
    return num_wrong;
  }
};

// A byte of the file that is not zero, changed. -> whether the file is refused.
template <class S>
bool is_damage_refused(Remembered<S>& remembered, const std::string& path, const std::string& content, std::size_t at) {
  write_file(path, content);
  flip_bits(path, at, 0x55);
  try {
    const auto found = remembered.open(MappedFile::open(path, "meta"));
    CHECK(found->why_invalid() == "");
    CHECK(remembered.num_wrong_rows(*found) == 0);
    return false;
  } catch (const SnapshotError&) {
    return true;
  }
}

template <class S>
void check_damage(bool compress) {
  const TemporaryFolder folder;
  Remembered<S> remembered(compress);
  auto buffer = remembered.open(MappedFile::create(folder / "file", "meta"));
  remembered.play(*buffer, 30);
  buffer->flush();
  const std::string content = read_file(folder / "file");
  std::mt19937_64 random(3);
  int num_refused = 0, num_found = 0;
  for (std::size_t at = 0; at < content.size() && num_refused + num_found < 40; at += 1 + random() % 800) {
    while (at < content.size() && content[at] == 0) ++at;
    if (at == content.size()) break;
    CAPTURE(at);
    const bool is_refused = is_damage_refused(remembered, folder / "copy", content, at);
    num_refused += is_refused;
    num_found += !is_refused;
  }
  CHECK(num_refused > 0);  // the header
  CHECK(num_found > 20);
}

}  // namespace

TEST_CASE_TEMPLATE("a byte damaged anywhere in a file that was not closed costs rows or is an error, and changes no row", S, Uniform,
                   Proportional) {
  for (const bool compress : {false, true}) check_damage<S>(compress);
}
