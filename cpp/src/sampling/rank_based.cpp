#include "mujigae/sampling/rank_based.hpp"

#include <algorithm>
#include <array>

#include "mujigae/check.hpp"
#include "mujigae/sampling/power.hpp"

namespace mujigae {

SamplerPlan RankBased::plan(const Settings& settings) {
  constexpr auto kSumBytes = static_cast<std::int64_t>(sizeof(double));
  return {sizeof(double), Ranking::kBytesOfSlot + kSumBytes, kNumStateWords,
          [settings](std::int64_t num_slots, MappedFile* file) { return std::make_unique<RankBased>(settings, num_slots, file); }};
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

// The first sum that is larger than each target, the last one if none is. The searches go side by side, so that their waits for
// memory overlap.
void RankBased::find_ranks(std::span<const double> targets, std::span<std::int64_t> ranks) const {
  std::fill(ranks.begin(), ranks.end(), 0);  // sums before it are at most the target
  for (std::int64_t left = ranking_.size(), half = 0; left > 1; left -= half) {
    half = left / 2;
    for (std::size_t i = 0; i < targets.size(); ++i) ranks[i] += sums_[ranks[i] + half - 1] <= targets[i] ? half : 0;
  }
  for (std::int64_t& rank : ranks) ++rank;
}

double RankBased::draw_ranks(Philox& random, std::span<std::int64_t> ranks) {
  ranking_.count();
  add_up();
  const double total = sums_[ranking_.size() - 1], slice = total / static_cast<double>(ranks.size());
  std::vector<std::uint64_t> words(ranks.size());
  std::vector<double> targets(ranks.size());
  random.fill(words);
  for (std::size_t i = 0; i < ranks.size(); ++i) targets[i] = (static_cast<double>(i) + unit_interval(words[i])) * slice;
  find_ranks(targets, ranks);
  return total;
}

void RankBased::draw(const RowRing&, const Span&, Philox& random, std::span<std::int64_t> slots) {
  draw_ranks(random, slots);
  for (std::int64_t& slot : slots) slot = ranking_.slot_at(slot);
}

double RankBased::draw_masses(const RowRing&, const Span&, Philox& random, std::span<std::int64_t> slots, std::span<double> masses) {
  const double total = draw_ranks(random, slots);
  for (std::size_t i = 0; i < slots.size(); ++i) masses[i] = static_cast<double>(slots[i]);
  powers_of(masses);
  for (std::int64_t& slot : slots) slot = ranking_.slot_at(slot);
  return total;
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
