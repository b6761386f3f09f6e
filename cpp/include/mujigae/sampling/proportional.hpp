// In proportion to priorities: P(i) = leaf_i / sum of leaves, leaf = (p + eps)^alpha (Schaul et al. 2016, eq. 1 and section 3.3).
//
// With a uniform share u, a coin decides for each draw whether it comes from the rows or from the tree:
//   P(i) = (1 - u) leaf_i / sum of leaves + u / N        mass = P(i), total 1; while every leaf is zero all draws are uniform
// Without replacement the rows of a batch are drawn one after another from what is left: a row that was drawn is taken off the
// list of rows, its leaf is zero until the end of the call, and then all leaves are as they were, bit for bit. P(i) is that of
// the first draw. There are no slices then: `stratified` has no effect.
//
// O(log N) a change and a draw (sum_tree.hpp); O(N) to find out that too few leaves are positive, with eps 0 only. Threads: none; the owner locks.
#pragma once

#include "mujigae/sampling/priority_sampler.hpp"
#include "mujigae/sampling/sum_tree.hpp"

namespace mujigae {

class Proportional final : public PrioritySampler {
 public:
  struct Settings {
    double alpha = 0.6, beta = 0.4, eps = 1e-6;
    bool stratified = true;
    double uniform_share = 0.0;
    bool replacement = true;
  };

  static SamplerPlan plan(const Settings& settings);

  Proportional(const Settings& settings, std::int64_t num_slots, MappedFile* file = nullptr);

  void reserve(std::int64_t num_changes) override;
  void enter(std::int64_t slot) override { change(slot, priority(slot)); }
  void leave(std::int64_t slot) override { change(slot, kNoPriority); }
  void commit() override;
  void clear() override;

  void check_can_draw(const RowRing& rows, const Span& span, std::int64_t batch_size) const override;
  void draw(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) override;
  double masses_of(const RowRing& rows, const Span& span, std::span<const std::int64_t> slots, std::span<double> masses) override;

  void check_priorities(const char* argument, std::span<const double> priorities) const override;
  void set_alpha(double alpha) override;
  double leaf(double priority) const;

  std::int64_t nbytes() const override;
  std::string why_invalid(const RowRing& rows, const Span& span) const override;

 private:
  static constexpr double kNoPriority = -1.0;  // of a row that cannot be drawn: its leaf is 0

  bool is_too_large(double priority, double alpha) const override;
  std::int64_t count_drawable(const RowRing& rows, const Span& span, std::int64_t enough) const;
  std::vector<bool> draw_coins(Philox& random, std::size_t count) const;
  void draw_mixed(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) const;
  void draw_distinct(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots);
  void leaves_of(std::span<const double> priorities, std::span<double> leaves) const;
  double leaf_again(double priority);  // for rows that enter one by one, with the largest priority, which seldom changes
  void change(std::int64_t slot, double priority) {
    changed_slots_.push_back(slot);
    changed_priorities_.push_back(priority);
  }

  double eps_, uniform_share_;
  bool stratified_, replacement_;
  SumTree tree_;
  std::vector<std::int64_t> changed_slots_;
  std::vector<double> changed_priorities_, changed_leaves_;
  struct {
    double priority, alpha, leaf;
  } last_{kNoPriority, 0.0, 0.0};  // what leaf_again worked out last
};

}  // namespace mujigae
