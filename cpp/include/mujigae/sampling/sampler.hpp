// Which row comes next. A sampler is told of every row that is written, can be drawn from now on, or no longer can, and draws.
//
//   UniformSampler       every row alike; weight 1
//   PrioritizedSampler   P(i) = leaf_i / sum of leaves, leaf = (p + eps)^alpha; weight = (N P(i))^-beta / max over the batch
//                        (Schaul et al. 2016, eq. 1 and section 3.4)
//
// The raw priority p is what is kept, so alpha may change; a new row gets the largest p ever given.
// Threads: none; the owner locks.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mujigae/replay/row_ring.hpp"
#include "mujigae/sampling/random.hpp"
#include "mujigae/replay/snapshot.hpp"
#include "mujigae/sampling/sum_tree.hpp"

namespace mujigae {

template <class S>
concept Sampler = requires(S sampler, const S& constant, const typename S::Settings& settings, std::int64_t i, double beta,
                           const RowRing& rows, Philox& random, std::span<std::int64_t> slots, std::span<double> leaves,
                           std::span<float> weights, MappedFile* file) {
  { S::kHasPriorities } -> std::convertible_to<bool>;
  S(settings, i, file);
  sampler.reserve(i);  // room for so many of the next three calls before commit
  sampler.write(i);    // a new row in slot i
  sampler.enter(i);    // the row in slot i can be drawn
  sampler.leave(i);    // ... no longer
  sampler.commit();
  sampler.clear();
  constant.check_can_draw(rows, i);                  // i: n_step
  constant.draw(rows, i, random, slots, leaves);     // and what weights are made of
  constant.weigh(leaves, beta, weights);
  { constant.exponent(std::optional(beta)) } -> std::convertible_to<double>;  // of weights; nullopt: the sampler's own
  { constant.nbytes() } -> std::convertible_to<std::int64_t>;
  { constant.why_invalid(rows, i) } -> std::convertible_to<std::string>;
  { constant.state() } -> std::convertible_to<std::vector<double>>;
};

class UniformSampler {
 public:
  static constexpr bool kHasPriorities = false;
  struct Settings {};

  UniformSampler(const Settings&, std::int64_t, MappedFile* = nullptr) {}

  void reserve(std::int64_t) {}
  void write(std::int64_t) {}
  void enter(std::int64_t) {}
  void leave(std::int64_t) {}
  void commit() {}
  void clear() {}
  void check_can_draw(const RowRing& rows, std::int64_t n_step) const;
  void draw(const RowRing& rows, std::int64_t n_step, Philox& random, std::span<std::int64_t> slots, std::span<double> leaves) const;
  void weigh(std::span<const double> leaves, double beta, std::span<float> weights) const;
  double exponent(std::optional<double>) const { return 0.0; }
  std::int64_t nbytes() const { return 0; }
  std::string why_invalid(const RowRing&, std::int64_t) const { return {}; }
  void save(SnapshotWriter&, const RowRing&) const {}
  void load(SnapshotReader&, const RowRing&) {}
  std::vector<double> state() const { return {}; }
  bool adopt(std::span<const double>, const RowRing&) { return true; }
};

class PrioritizedSampler {
 public:
  static constexpr bool kHasPriorities = true;
  struct Settings {
    double alpha = 0.6, beta = 0.4, eps = 1e-6;
    bool stratified = true;
  };

  PrioritizedSampler(const Settings& settings, std::int64_t num_slots, MappedFile* file = nullptr);

  void reserve(std::int64_t num_changes);
  void write(std::int64_t slot) { priorities_[slot] = max_priority_; }
  void enter(std::int64_t slot) { change(slot, priorities_[slot]); }
  void leave(std::int64_t slot) { change(slot, kNoPriority); }
  void commit();
  void clear();

  void check_can_draw(const RowRing& rows, std::int64_t n_step) const;
  void draw(const RowRing& rows, std::int64_t n_step, Philox& random, std::span<std::int64_t> slots, std::span<double> leaves) const;
  void weigh(std::span<const double> leaves, double beta, std::span<float> weights) const;
  double exponent(std::optional<double> beta) const;

  void check_priorities(std::span<const double> priorities) const;
  void set_priority(std::int64_t slot, double priority);  // takes effect by enter() and commit()
  void set_alpha(double alpha);                           // the caller enters every row that can be drawn again
  void set_beta(double beta);
  double priority(std::int64_t slot) const { return priorities_[slot]; }
  double max_priority() const { return max_priority_; }
  double leaf(double priority) const;
  const Settings& settings() const { return settings_; }

  std::int64_t nbytes() const;
  std::string why_invalid(const RowRing& rows, std::int64_t n_step) const;
  void save(SnapshotWriter& writer, const RowRing& rows) const;  // the priorities of the rows held
  void load(SnapshotReader& reader, const RowRing& rows);

  // In a file, where the priorities are: alpha, beta and the largest priority. An adopted priority that is none becomes the
  // largest. False: such a state cannot be.
  std::vector<double> state() const { return {settings_.alpha, settings_.beta, max_priority_}; }
  bool adopt(std::span<const double> state, const RowRing& rows);

 private:
  static constexpr double kNoPriority = -1.0;  // of a row that cannot be drawn: its leaf is 0

  bool set_state(std::span<const double> state);
  bool is_too_large(double priority, double alpha) const;
  void leaves_of(std::span<const double> priorities, std::span<double> leaves) const;
  void change(std::int64_t slot, double priority) {
    changed_slots_.push_back(slot);
    changed_priorities_.push_back(priority);
  }

  Settings settings_;
  Column<double> priorities_;  // raw p of every slot
  double max_priority_ = 1.0;
  SumTree tree_;
  std::vector<std::int64_t> changed_slots_;
  std::vector<double> changed_priorities_, changed_leaves_;
};

static_assert(Sampler<UniformSampler> && Sampler<PrioritizedSampler>);

}  // namespace mujigae
