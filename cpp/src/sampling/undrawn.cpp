#include "mujigae/sampling/undrawn.hpp"

#include "mujigae/check.hpp"

namespace mujigae {

void check_are_enough(std::int64_t num_rows, std::int64_t batch_size) {
  if (batch_size <= num_rows) return;
  fail_value("batch_size: expected at most ", num_rows, ", as many rows can be drawn without replacement, got ", batch_size);
}

Undrawn::Undrawn(std::int64_t size, std::size_t max_draws) : size_(size) {
  position_at_.reserve(max_draws);
  index_of_.reserve(max_draws);
}

std::int64_t Undrawn::find(const Moved& moved, std::int64_t at) {
  const auto found = moved.find(at);
  return found == moved.end() ? at : found->second;
}

std::int64_t Undrawn::take(std::int64_t index) {
  const std::int64_t position = find(position_at_, index);
  const std::int64_t last = find(position_at_, --size_);
  position_at_[index] = last;
  index_of_[last] = index;
  return position;
}

void Undrawn::remove(std::int64_t position) { take(find(index_of_, position)); }

}  // namespace mujigae
