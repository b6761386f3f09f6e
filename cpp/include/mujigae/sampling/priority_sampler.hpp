// What samplers with priorities share: the raw priority of every slot, the largest ever given, alpha and beta, and their place in
// snapshots and files.
//
//   update_priorities -> set_priority(slot, p)        priorities   [ p0 | p1 | p2 | ... ]   raw, so alpha may change
//   a new row         -> write(slot)                  gets the largest p ever given, 1 at first
//
// O(1) a row. Threads: none; the owner locks.
#pragma once

#include "mujigae/sampling/sampler.hpp"
#include "mujigae/storage/column.hpp"

namespace mujigae {

class PrioritySampler : public Sampler {
 public:
  static constexpr std::int64_t kNumStateWords = 3;

  void write(std::int64_t slot, std::optional<double> priority) override;
  void clear() override;

  bool has_priorities() const override { return true; }
  void check_priorities(const char* argument, std::span<const double> priorities) const override;
  void set_priority(std::int64_t slot, double priority) override;
  double priority(std::int64_t slot) const override { return priorities_[slot]; }
  double max_priority() const override { return max_priority_; }
  double alpha() const override { return alpha_; }
  void set_alpha(double alpha) override;
  double beta() const override { return beta_; }
  void set_beta(double beta) override;

  std::int64_t nbytes() const override { return priorities_.nbytes(); }
  std::string why_invalid(const RowRing& rows, const Span& span) const override;
  void save(SnapshotWriter& writer, const RowRing& rows) const override;
  void load(SnapshotReader& reader, const RowRing& rows) override;

  // alpha, beta and the largest priority. An adopted priority that is none becomes the largest.
  std::vector<double> state() const override { return {alpha_, beta_, max_priority_}; }
  bool adopt(std::span<const double> state, const RowRing& rows) override;

 protected:
  PrioritySampler(double alpha, double beta, std::int64_t num_slots, MappedFile* file);

  // Whether a finite priority of at least 0 is too large to be drawn by.
  virtual bool is_too_large(double /*priority*/, double /*alpha*/) const { return false; }

 private:
  bool set_state(std::span<const double> state);

  double alpha_, beta_;
  Column<double> priorities_;  // raw p of every slot
  double max_priority_ = 1.0;
};

}  // namespace mujigae
