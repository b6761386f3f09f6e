// In proportion to priorities: P(i) = leaf_i / sum of leaves, leaf = (p + eps)^alpha (Schaul et al. 2016, eq. 1 and section 3.3).
//
// The raw priority p is what is kept, so alpha may change; a new row gets the largest p ever given.
// O(log N) a change and a draw (sum_tree.hpp).
#pragma once

#include "mujigae/sampling/sampler.hpp"
#include "mujigae/sampling/sum_tree.hpp"
#include "mujigae/storage/column.hpp"

namespace mujigae {

class Proportional final : public Sampler {
 public:
  struct Settings {
    double alpha = 0.6, beta = 0.4, eps = 1e-6;
    bool stratified = true;
  };

  static SamplerPlan plan(const Settings& settings);

  Proportional(const Settings& settings, std::int64_t num_slots, MappedFile* file = nullptr);

  void reserve(std::int64_t num_changes) override;
  void write(std::int64_t slot, std::optional<double> priority) override;
  void enter(std::int64_t slot) override { change(slot, priorities_[slot]); }
  void leave(std::int64_t slot) override { change(slot, kNoPriority); }
  void commit() override;
  void clear() override;

  void check_can_draw(const RowRing& rows, const Span& span, std::int64_t batch_size) const override;
  void draw(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) override;
  double masses_of(const RowRing& rows, const Span& span, std::span<const std::int64_t> slots, std::span<double> masses) override;

  bool has_priorities() const override { return true; }
  void check_priorities(const char* argument, std::span<const double> priorities) const override;
  void set_priority(std::int64_t slot, double priority) override;
  double max_priority() const override { return max_priority_; }
  double alpha() const override { return settings_.alpha; }
  void set_alpha(double alpha) override;
  double beta() const override { return settings_.beta; }
  void set_beta(double beta) override;
  double priority(std::int64_t slot) const { return priorities_[slot]; }
  double leaf(double priority) const;

  std::int64_t nbytes() const override;
  std::string why_invalid(const RowRing& rows, const Span& span) const override;
  void save(SnapshotWriter& writer, const RowRing& rows) const override;
  void load(SnapshotReader& reader, const RowRing& rows) override;

  // alpha, beta and the largest priority. An adopted priority that is none becomes the largest.
  std::vector<double> state() const override { return {settings_.alpha, settings_.beta, max_priority_}; }
  bool adopt(std::span<const double> state, const RowRing& rows) override;

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

}  // namespace mujigae
