// Every row that can be drawn alike: P(i) = 1 / N, weight 1.
//
// Without replacement the rows of a batch are distinct, and every choice of them, in every order, is alike likely (undrawn.hpp);
// P(i) is that of one draw.
// O(1) a draw. Threads: none; the owner locks.
#pragma once

#include "mujigae/sampling/sampler.hpp"

namespace mujigae {

class Uniform final : public Sampler {
 public:
  struct Settings {
    bool replacement = true;
  };

  static SamplerPlan plan(const Settings& settings);

  explicit Uniform(const Settings& settings) : settings_(settings) {}

  void check_can_draw(const RowRing& rows, const Span& span, std::int64_t batch_size) const override;
  void draw(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) override;
  double masses_of(const RowRing& rows, const Span& span, std::span<const std::int64_t> slots, std::span<double> masses) override;

 private:
  Settings settings_;
};

}  // namespace mujigae
