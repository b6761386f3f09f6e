// Rows without observations, samplers over them, and what they draw.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "mujigae/sampling/proportional.hpp"

namespace mujigae {

inline constexpr std::byte kNoAction{0};

// Lane e of `lengths.size()` lanes holds lengths[e] rows, its newest one last.
inline RowRing rows_of(const std::vector<std::int64_t>& lengths, std::int64_t capacity_of_lane) {
  const auto num_lanes = static_cast<std::int64_t>(lengths.size());
  RowRing rows(capacity_of_lane * num_lanes, num_lanes, 2, 1, 0);
  for (std::int64_t e = 0; e < num_lanes; ++e) {
    for (std::int64_t i = 0; i < lengths[static_cast<std::size_t>(e)]; ++i) rows.append(e, 0.0, 0, &kNoAction);
  }
  return rows;
}

// Slot i gets priorities[i].
template <class S>
void enter_all(S& sampler, const std::vector<double>& priorities) {
  sampler.reserve(static_cast<std::int64_t>(priorities.size()));
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    const auto slot = static_cast<std::int64_t>(i);
    sampler.write(slot, std::nullopt);
    sampler.set_priority(slot, priorities[i]);
    sampler.enter(slot);
  }
  sampler.commit();
}

inline Proportional proportional_of(const RowRing& rows, const std::vector<double>& priorities, const Proportional::Settings& settings) {
  Proportional sampler(settings, rows.num_slots());
  enter_all(sampler, priorities);
  return sampler;
}

// What rows of n-step windows have to have.
inline Span windows(std::int64_t n_step) { return {0, n_step - 1}; }

inline void draw(Sampler& sampler, const RowRing& rows, std::int64_t n_step, double beta, Philox& random, std::span<std::int64_t> slots,
                 std::span<float> weights) {
  std::vector<double> masses(slots.size());
  sampler.draw(rows, windows(n_step), random, slots);
  sampler.masses_of(rows, windows(n_step), slots, masses);
  weigh(masses, checked_beta(sampler, beta), weights);
}

inline std::map<std::int64_t, double> count_draws(Sampler& sampler, const RowRing& rows, std::int64_t n_step, std::size_t count) {
  Philox random({1, 2});
  std::vector<std::int64_t> slots(count);
  std::vector<float> weights(count);
  draw(sampler, rows, n_step, 0.4, random, slots, weights);
  std::map<std::int64_t, double> counts;
  for (const std::int64_t slot : slots) ++counts[slot];
  return counts;
}

// Pearson's statistic of counts against shares that add up to 1; a share of 0 must not have been drawn.
inline double chi_square(const std::map<std::int64_t, double>& counts, const std::vector<double>& shares) {
  double num_draws = 0.0, statistic = 0.0;
  for (const auto& [slot, count] : counts) num_draws += count;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const auto found = counts.find(static_cast<std::int64_t>(i));
    const double count = found == counts.end() ? 0.0 : found->second, expected = num_draws * shares[i];
    if (shares[i] == 0.0 && count > 0.0) return INFINITY;
    if (shares[i] > 0.0) statistic += (count - expected) * (count - expected) / expected;
  }
  return statistic;
}

}  // namespace mujigae
