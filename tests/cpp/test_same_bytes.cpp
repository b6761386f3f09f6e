// One workload with fixed numbers: what it draws and what it saves are the same bytes on every processor, with every instruction set
// and from every compiler. When the format of snapshots or the order of draws changes on purpose, so do the numbers here.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "mujigae/sampling/rank_based.hpp"
#include "naive_buffer.hpp"

using namespace mujigae;

namespace {

class Digest {  // FNV-1a, 64 bits
 public:
  template <class T>
  void add(std::span<const T> values) {
    for (const std::byte byte : std::as_bytes(values)) value_ = (value_ ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
  }
  void add(const OwnedBatch& batch) {
    for (const std::vector<Bytes>* fields : {&batch.obs, &batch.next_obs}) {
      for (const Bytes& bytes : *fields) add(std::span<const std::byte>(bytes));
    }
    add(std::span<const std::int64_t>(batch.action));
    add(std::span<const std::int64_t>(batch.key));
    add(std::span<const float>(batch.reward));
    add(std::span<const float>(batch.discount));
    add(std::span<const float>(batch.weight));
    add(std::span<const double>(batch.probability));
    add(std::span<const bool>(batch.terminated.get(), batch.key.size()));
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

// Three lanes of stacked frames beside a plain vector; frames are large enough to be compressed.
constexpr std::int64_t kFrameBytes = 1200, kStack = 4;
const std::vector<ObsLayout> kObs = {{kFrameBytes, kStack, 40}, {24, 1}};

// What changes from frame to frame lies at the frames' ends, so that compression finds something to leave out.
void flatten_frames(Bytes& stack) {
  for (auto frame = stack.begin(); frame != stack.end(); frame += kFrameBytes) std::fill(frame + 100, frame + 1100, std::byte{7});
}

Transition next_step(RollingEnvironment& environment, std::int64_t t) {
  Transition step = environment.step(3 * t);
  flatten_frames(step.obs[0]);
  flatten_frames(step.next_obs[0]);
  return step;
}

template <class S>
void add_steps(BufferOf<S>& buffer, std::vector<RollingEnvironment>& environments, std::int64_t num_steps) {
  for (std::int64_t t = 0; t < num_steps; ++t) {
    std::vector<Transition> transitions;
    for (RollingEnvironment& environment : environments) transitions.push_back(next_step(environment, t));
    buffer.add(OwnedSteps(1, {0, 1, 2}, transitions).view());
  }
}

template <class S>
std::uint64_t digest_of(const typename S::Settings& sampler, bool compress) {
  BufferSettings settings = settings_of(900, 3, 3, kObs);
  settings.compress = compress;
  BufferOf<S> buffer(settings, sampler);
  std::vector<RollingEnvironment> environments;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) environments.emplace_back(seed, kObs);
  Digest digest;
  for (int round = 0; round < 8; ++round) {
    add_steps(buffer, environments, 60);
    OwnedBatch batch(64, kObs);
    buffer.sample(0.4, batch.view());
    digest.add(batch);
    std::vector<double> priorities;
    for (std::size_t i = 0; i < 64; ++i) priorities.push_back(std::abs(static_cast<double>(batch.reward[i])) * 0.01);
    if constexpr (kHasPriorities<S>) buffer.update_priorities(batch.key, priorities);
  }
  for (const std::vector<std::byte>& piece : buffer.to_pieces("fixed")) digest.add(std::span<const std::byte>(piece));
  return digest.value();
}

}  // namespace

TEST_CASE("a fixed workload draws and saves the same bytes everywhere") {
  CHECK(digest_of<Uniform>({}, false) == 0xfcaf739ae6eb7ba3);
  CHECK(digest_of<Proportional>({0.6, 0.4, 1e-6, true, 0.0, true}, false) == 0x332b445334dc8356);
  CHECK(digest_of<Proportional>({0.5, 0.7, 1e-3, false, 0.1, true}, true) == 0x7b44efc33be263af);
  CHECK(digest_of<RankBased>({0.7, 0.5}, true) == 0xb978d76ecbc3530a);
}
