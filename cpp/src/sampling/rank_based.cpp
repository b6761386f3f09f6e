#include "mujigae/sampling/rank_based.hpp"

#include <algorithm>
#include <array>

#include "mujigae/check.hpp"
#include "mujigae/sampling/power.hpp"

namespace mujigae {

SamplerPlan RankBased::plan(const Settings& settings) {
  constexpr auto kSumBytes = static_cast<std::int64_t>(sizeof(double));
  return {sizeof(double), Ranking::kBytesOfSlot + kSumBytes, kNumStateWords, [settings](std::int64_t num_slots, MappedFile* file) {
            return std::make_unique<RankBased>(settings, num_slots, file);
          }};
}

RankBased::RankBased(const Settings& settings, std::int64_t num_slots, MappedFile* file)
    : PrioritySampler(settings.alpha, settings.beta, num_slots, file), ranking_(num_slots), sums_(num_slots) {}

void RankBased::clear() {
  PrioritySampler::clear();
  ranking_.clear();
}

void RankBased::set_alpha(double alpha) {
  PrioritySampler::set_alpha(alpha);
  num_sums_ = 0;
}

void RankBased::check_can_draw(const RowRing& rows, const Span& span, std::int64_t) const { check_has_rows(rows, span); }

void RankBased::powers_of(std::span<double> ranks) const {
  constexpr double kMinMass = 0x1p-900;  // of a rank that is never drawn
  power(ranks, 0.0 - alpha(), ranks);
  for (double& mass : ranks) mass = std::max(mass, kMinMass);
}

void RankBased::add_up() {
  std::array<double, 64> group;
  while (num_sums_ < ranking_.size()) {
    const auto count = static_cast<std::size_t>(std::min<std::int64_t>(std::ssize(group), ranking_.size() - num_sums_));
    for (std::size_t i = 0; i < count; ++i) group[i] = static_cast<double>(num_sums_ + static_cast<std::int64_t>(i) + 1);
    powers_of(std::span(group).first(count));
    for (std::size_t i = 0; i < count; ++i, ++num_sums_) sums_[num_sums_] = (num_sums_ > 0 ? sums_[num_sums_ - 1] : 0.0) + group[i];
  }
}

void RankBased::draw(const RowRing&, const Span&, Philox& random, std::span<std::int64_t> slots) {
  ranking_.count();
  add_up();
  const double* const begin = sums_.data();
  const double* const last = begin + ranking_.size() - 1;
  const double slice = *last / static_cast<double>(slots.size());
  std::vector<std::uint64_t> words(slots.size());
  random.fill(words);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const double target = (static_cast<double>(i) + unit_interval(words[i])) * slice;
    slots[i] = ranking_.slot_at(std::upper_bound(begin, last, target) - begin + 1);
  }
}

double RankBased::masses_of(const RowRing&, const Span&, std::span<const std::int64_t> slots, std::span<double> masses) {
  ranking_.count();
  add_up();
  for (std::size_t i = 0; i < slots.size(); ++i) masses[i] = static_cast<double>(ranking_.rank_of(slots[i]));
  powers_of(masses);
  return sums_[ranking_.size() - 1];
}

std::int64_t RankBased::nbytes() const { return PrioritySampler::nbytes() + ranking_.nbytes() + sums_.nbytes(); }

std::string RankBased::why_invalid(const RowRing& rows, const Span& span) const {
  if (std::string reason = PrioritySampler::why_invalid(rows, span); !reason.empty()) return reason;
  for (std::int64_t slot = 0; slot < rows.num_slots(); ++slot) {
    const bool is_ready = rows.is_ready(rows.row_in(slot), span);
    if (ranking_.contains(slot) != is_ready) return concat("slot ", slot, is_ready ? " has no rank" : " has a rank");
    if (is_ready && ranking_.priority_of(slot) != priority(slot)) return concat("slot ", slot, " is ranked by another priority");
  }
  return ranking_.why_invalid();
}

}  // namespace mujigae
