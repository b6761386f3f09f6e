#include "mujigae/sampling/undrawn.hpp"

#include <bit>

#include "mujigae/check.hpp"

namespace mujigae {

void check_are_enough(std::int64_t num_rows, std::int64_t batch_size) {
  if (batch_size <= num_rows) return;
  fail_value("batch_size: expected at most ", num_rows, ", as many rows can be drawn without replacement, got ", batch_size);
}

Undrawn::Moved::Moved(std::size_t max_size) : pairs_(std::bit_ceil(2 * max_size + 2)), shift_(std::countl_zero(pairs_.size()) + 1) {}

std::size_t Undrawn::Moved::find(std::int64_t at) const {
  constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;  // its multiples spread over the table (Knuth, volume 3, section 6.4)
  std::size_t i = static_cast<std::size_t>(static_cast<std::uint64_t>(at) * kGolden >> shift_);
  while (pairs_[i].at != at && pairs_[i].at != -1) i = (i + 1) & (pairs_.size() - 1);
  return i;
}

std::int64_t Undrawn::Moved::operator[](std::int64_t at) const {
  const Pair& pair = pairs_[find(at)];
  return pair.at == at ? pair.value : at;
}

void Undrawn::Moved::set(std::int64_t at, std::int64_t value) { pairs_[find(at)] = {at, value}; }

Undrawn::Undrawn(std::int64_t size, std::size_t max_draws) : size_(size), position_at_(max_draws), index_of_(max_draws) {}

std::int64_t Undrawn::take(std::int64_t index) {
  const std::int64_t position = position_at_[index], last = position_at_[--size_];
  position_at_.set(index, last);
  index_of_.set(last, index);
  return position;
}

void Undrawn::remove(std::int64_t position) { take(index_of_[position]); }

}  // namespace mujigae
