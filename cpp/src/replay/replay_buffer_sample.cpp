// Drawing batches from a ReplayBuffer.
#include <mutex>
#include <new>

#include "mujigae/replay/gather.hpp"
#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae {

void ReplayBuffer::sample(std::optional<double> beta, const BatchView& out) {
  if (settings_.prefetch > 0) return copy_batch(sample(beta, out.batch_size).view, out, schema_);
  const auto locked = lock();
  const double exponent = checked_beta(*sampler_, beta);
  sampler_->check_can_draw(rows_, span(), out.batch_size);
  fill(exponent, out);
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
  BatchMemory batch(*arena_, batch_size, sequence_schema(shape));
  std::vector<std::int64_t> slots(static_cast<std::size_t>(batch_size));
  std::vector<double> masses(slots.size());
  ahead_.drop(random_);  // once nothing more is allocated: a call without memory changes no batch
  fill_chances(masses, sampler_->draw_masses(rows_, span(), random_, slots, masses), exponent, batch.view);
  gather_sequences({rows_, stacks_, settings_}, slots, shape, batch.view);
  return batch;
}

// Weights and probabilities of rows of these masses.
void ReplayBuffer::fill_chances(std::span<const double> masses, double total, double beta, const BatchView& out) {
  weigh(masses, beta, {out.weight, masses.size()});
  for (std::size_t i = 0; i < masses.size(); ++i) out.probability[i] = total > 0.0 ? masses[i] / total : 0.0;
}

void ReplayBuffer::read_rows(std::span<const std::int64_t> slots, const BatchView& out) {
  mujigae::gather({rows_, stacks_, settings_}, slots, out);
  if (out.wants_mirror_slots) fill_mirror_slots(slots, out);
}

DrawnBatch ReplayBuffer::take_ahead(double beta, std::int64_t batch_size) {
  if (!ahead_.is_for(batch_size)) ahead_.drop(random_);
  if (ahead_.is_empty()) ahead_.push(draw_ahead(batch_size));
  DrawnBatch drawn = ahead_.pop();
  weigh(drawn.masses, beta, {drawn.memory.view.weight, drawn.masses.size()});
  leave_pending(batch_size);
  return drawn;
}

void ReplayBuffer::leave_pending(std::int64_t batch_size) try {
  pending_batch_size_ = batch_size;
  if (!ahead_.is_finished()) return draw_pending();  // a thread would come to it after those frames, and the next call before
  if (drawing_.is_done()) drawing_ = begin([this] { draw_pending_behind(); });  // else that is still to come
} catch (const std::bad_alloc&) {
  // The next call draws it.
}

// Draws what the last sample left to be drawn, as it would have: nothing has changed since.
void ReplayBuffer::draw_pending() const {
  while (pending_batch_size_ > 0 && !ahead_.is_full()) ahead_.push(draw_ahead(pending_batch_size_));
  pending_batch_size_ = 0;
}

void ReplayBuffer::draw_pending_behind() const try {
  const std::lock_guard locked(mutex_);
  draw_pending();
} catch (...) {
  // Still pending: the next call tries again, and its caller gets the error.
}

DrawnBatch ReplayBuffer::draw_ahead(std::int64_t batch_size) const {
  std::vector<std::int64_t> slots(static_cast<std::size_t>(batch_size));
  DrawnBatch drawn{random_.counter(), std::vector<double>(slots.size()), BatchMemory(*arena_, batch_size, schema_), {}};
  Philox random = random_;
  const double total = sampler_->draw_masses(rows_, span(), random, slots, drawn.masses);
  for (std::size_t i = 0; i < slots.size(); ++i) drawn.memory.view.probability[i] = drawn.masses[i] / total;
  drawn.frames = gather_behind({rows_, stacks_, settings_}, slots, drawn.memory.view);
  random_ = random;
  return drawn;
}

}  // namespace mujigae
