// Drawing batches from a ReplayBuffer.
#include "mujigae/replay/gather.hpp"
#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae {

void ReplayBuffer::sample(std::optional<double> beta, const BatchView& out) {
  const auto locked = lock();
  const double exponent = checked_beta(*sampler_, beta);
  sampler_->check_can_draw(rows_, span(), out.batch_size);
  if (settings_.prefetch == 0) return fill(exponent, out);
  copy_batch(take_ahead(exponent, out.batch_size).memory.view, out, schema_);
}

BatchMemory ReplayBuffer::sample(std::optional<double> beta, std::int64_t batch_size) {
  const auto locked = lock();
  const double exponent = checked_beta(*sampler_, beta);
  sampler_->check_can_draw(rows_, span(), batch_size);
  if (settings_.prefetch > 0) return take_ahead(exponent, batch_size).memory;
  BatchMemory batch(*arena_, batch_size, schema_);
  fill(exponent, batch.view);
  return batch;
}

void ReplayBuffer::fill(double beta, const BatchView& out) {
  std::vector<std::int64_t> slots(static_cast<std::size_t>(out.batch_size));
  std::vector<double> masses(slots.size());
  fill_chances(masses, sampler_->draw_masses(rows_, span(), random_, slots, masses), beta, out);
  read_rows(slots, out);
}

BatchMemory ReplayBuffer::sample_sequences(std::int64_t batch_size, const SequenceShape& shape, std::optional<double> beta) {
  const auto locked = lock();
  check_sequence(shape);
  const double exponent = checked_beta(*sampler_, beta);
  sampler_->check_can_draw(rows_, span(), batch_size);
  ahead_.drop(random_);
  BatchMemory batch(*arena_, batch_size, sequence_schema(shape));
  std::vector<std::int64_t> slots(static_cast<std::size_t>(batch_size));
  std::vector<double> masses(slots.size());
  fill_chances(masses, sampler_->draw_masses(rows_, span(), random_, slots, masses), exponent, batch.view);
  gather_sequences({rows_, stacks_, settings_}, slots, shape, batch.view);
  return batch;
}

// Weights and probabilities of rows of these masses.
void ReplayBuffer::fill_chances(std::span<const double> masses, double total, double beta, const BatchView& out) {
  weigh(masses, beta, {out.weight, masses.size()});
  for (std::size_t i = 0; i < masses.size(); ++i) out.probability[i] = masses[i] / total;
}

void ReplayBuffer::read_rows(std::span<const std::int64_t> slots, const BatchView& out) {
  mujigae::gather({rows_, stacks_, settings_}, slots, out);
  if (out.wants_mirror_slots) fill_mirror_slots(slots, out);
}

DrawnBatch ReplayBuffer::take_ahead(double beta, std::int64_t batch_size) {
  if (!ahead_.is_for(batch_size)) ahead_.drop(random_);
  while (!ahead_.is_full()) ahead_.push(draw_ahead(batch_size));
  DrawnBatch drawn = ahead_.pop();
  weigh(drawn.masses, beta, {drawn.memory.view.weight, drawn.masses.size()});
  return drawn;
}

DrawnBatch ReplayBuffer::draw_ahead(std::int64_t batch_size) {
  std::vector<std::int64_t> slots(static_cast<std::size_t>(batch_size));
  DrawnBatch drawn{random_.counter(), std::vector<double>(slots.size()), BatchMemory(*arena_, batch_size, schema_), {}};
  const double total = sampler_->draw_masses(rows_, span(), random_, slots, drawn.masses);
  for (std::size_t i = 0; i < slots.size(); ++i) drawn.memory.view.probability[i] = drawn.masses[i] / total;
  drawn.frames = gather_behind({rows_, stacks_, settings_}, slots, drawn.memory.view);
  return drawn;
}

}  // namespace mujigae
