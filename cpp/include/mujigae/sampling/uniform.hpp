// Every row that can be drawn alike: P(i) = 1 / N, weight 1.
#pragma once

#include "mujigae/sampling/sampler.hpp"

namespace mujigae {

class Uniform final : public Sampler {
 public:
  struct Settings {};

  static SamplerPlan plan(const Settings& settings);

  explicit Uniform(const Settings&) {}

  void check_can_draw(const RowRing& rows, const Span& span, std::int64_t batch_size) const override;
  void draw(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) override;
  double masses_of(const RowRing& rows, const Span& span, std::span<const std::int64_t> slots, std::span<double> masses) override;
};

// The rows that can be drawn, numbered from 0 over the lanes in order. Good until a row is added or evicted.
class ReadyRows {
 public:
  ReadyRows(const RowRing& rows, const Span& span);

  std::int64_t size() const { return ends_.back(); }
  std::int64_t slot(std::int64_t position) const;  // O(log lanes)

 private:
  const RowRing& rows_;
  Span span_;
  std::vector<std::int64_t> ends_;  // of each lane's rows
};

}  // namespace mujigae
