// By the rank of priorities: P(i) = rank(i)^-alpha / sum of j^-alpha over j = 1 ... N (Schaul et al. 2016, section 3.3, rank-based
// variant). Rank 1 has the largest raw priority; of equal ones the lowest slot comes first.
//
//   sums      [ 1, 1 + 2^-alpha, 1 + 2^-alpha + 3^-alpha, ... ]      float64, added in order, as many as there are rows
//   slices    |-- 0 --|-- 1 --|-- ... --|-- B - 1 --|                of equal probability; row i of a batch is of slice i
//
// The i-th target, random within the i-th slice, finds the first sum that is larger, and with it the rank: exact where the paper
// keeps a heap that is nearly sorted, and slices of a fixed N.
// Importance weights have mass rank^-alpha, at least 2^-900.
// Ranks: see ranking.hpp. O(log N) a draw, O(N) the first draw after alpha was changed. Threads: none; the owner locks.
#pragma once

#include "mujigae/sampling/priority_sampler.hpp"
#include "mujigae/sampling/ranking.hpp"
#include "mujigae/storage/column.hpp"

namespace mujigae {

class RankBased final : public PrioritySampler {
 public:
  struct Settings {
    double alpha = 0.7, beta = 0.5;
  };

  static SamplerPlan plan(const Settings& settings);

  RankBased(const Settings& settings, std::int64_t num_slots, MappedFile* file = nullptr);

  void reserve(std::int64_t num_changes) override { ranking_.reserve(num_changes); }
  void enter(std::int64_t slot) override { ranking_.set(slot, priority(slot)); }
  void leave(std::int64_t slot) override { ranking_.remove(slot); }
  void commit() override { ranking_.commit(); }
  void clear() override;

  void check_can_draw(const RowRing& rows, const Span& span, std::int64_t batch_size) const override;
  void draw(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) override;
  double draw_masses(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots,
                     std::span<double> masses) override;
  double masses_of(const RowRing& rows, const Span& span, std::span<const std::int64_t> slots, std::span<double> masses) override;

  void set_alpha(double alpha) override;

  std::int64_t nbytes() const override;
  std::string why_invalid(const RowRing& rows, const Span& span) const override;

 private:
  double draw_ranks(Philox& random, std::span<std::int64_t> ranks);  // returns the total mass
  void add_up();  // the sums of all ranks there are
  void find_ranks(std::span<const double> targets, std::span<std::int64_t> ranks) const;
  void powers_of(std::span<double> ranks) const;

  Ranking ranking_;
  Column<double> sums_;
  std::int64_t num_sums_ = 0;
};

}  // namespace mujigae
