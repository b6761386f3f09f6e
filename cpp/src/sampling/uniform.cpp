#include "mujigae/sampling/uniform.hpp"

#include <algorithm>

#include "mujigae/sampling/ready_rows.hpp"
#include "mujigae/sampling/undrawn.hpp"

namespace mujigae {

SamplerPlan Uniform::plan(const Settings& settings) {
  return {.make = [settings](std::int64_t, MappedFile*) { return std::make_unique<Uniform>(settings); }};
}

void Uniform::check_can_draw(const RowRing& rows, const Span& span, std::int64_t batch_size) const {
  check_has_rows(rows, span);
  if (!settings_.replacement) check_are_enough(rows.num_ready(span), batch_size);
}

void Uniform::draw(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) {
  const ReadyRows ready(rows, span);
  std::vector<std::uint64_t> words(slots.size());
  random.fill(words);
  if (settings_.replacement) {
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = ready.slot(scale_word(words[i], ready.size()));
    return;
  }
  Undrawn undrawn(ready.size(), slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = ready.slot(undrawn.take(scale_word(words[i], undrawn.size())));
}

double Uniform::masses_of(const RowRing& rows, const Span& span, std::span<const std::int64_t>, std::span<double> masses) {
  std::fill(masses.begin(), masses.end(), 1.0);
  return static_cast<double>(rows.num_ready(span));
}

}  // namespace mujigae
