// Drawing batches from a ReplayBuffer.
#include "mujigae/replay/gather.hpp"
#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae {

template <Sampler S>
void ReplayBuffer<S>::sample(std::optional<double> beta, const BatchView& out) {
  const auto locked = lock();
  const double exponent = sampler_.exponent(beta);
  sampler_.check_can_draw(rows_, settings_.n_step);
  if (settings_.prefetch == 0) return fill(exponent, out);
  copy_batch(take_ahead(exponent, out.batch_size).memory.view, out, row_bytes_);
}

template <Sampler S>
BatchMemory ReplayBuffer<S>::sample(std::optional<double> beta, std::int64_t batch_size) {
  const auto locked = lock();
  const double exponent = sampler_.exponent(beta);
  sampler_.check_can_draw(rows_, settings_.n_step);
  if (settings_.prefetch > 0) return take_ahead(exponent, batch_size).memory;
  BatchMemory batch(*arena_, batch_size, row_bytes_);
  fill(exponent, batch.view);
  return batch;
}

template <Sampler S>
void ReplayBuffer<S>::fill(double beta, const BatchView& out) {
  std::vector<std::int64_t> slots(static_cast<std::size_t>(out.batch_size));
  std::vector<double> leaves(slots.size());
  sampler_.draw(rows_, settings_.n_step, random_, slots, leaves);
  sampler_.weigh(leaves, beta, {out.weight, slots.size()});
  gather({rows_, stacks_, settings_}, slots, out);
  if (out.wants_places) fill_places(slots, out);
}

template <Sampler S>
DrawnBatch ReplayBuffer<S>::take_ahead(double beta, std::int64_t batch_size) {
  if (!ahead_.is_for(batch_size)) ahead_.drop(random_);
  while (!ahead_.is_full()) ahead_.push(draw_ahead(batch_size));
  DrawnBatch drawn = ahead_.pop();
  sampler_.weigh(drawn.leaves, beta, {drawn.memory.view.weight, drawn.leaves.size()});
  return drawn;
}

template <Sampler S>
DrawnBatch ReplayBuffer<S>::draw_ahead(std::int64_t batch_size) {
  std::vector<std::int64_t> slots(static_cast<std::size_t>(batch_size));
  DrawnBatch drawn{random_.counter(), std::vector<double>(slots.size()), BatchMemory(*arena_, batch_size, row_bytes_), {}};
  sampler_.draw(rows_, settings_.n_step, random_, slots, drawn.leaves);
  drawn.frames = gather_behind({rows_, stacks_, settings_}, slots, drawn.memory.view);
  return drawn;
}

template void ReplayBuffer<UniformSampler>::sample(std::optional<double>, const BatchView&);
template BatchMemory ReplayBuffer<UniformSampler>::sample(std::optional<double>, std::int64_t);
template void ReplayBuffer<UniformSampler>::fill(double, const BatchView&);
template void ReplayBuffer<PrioritizedSampler>::fill(double, const BatchView&);
template void ReplayBuffer<PrioritizedSampler>::sample(std::optional<double>, const BatchView&);
template BatchMemory ReplayBuffer<PrioritizedSampler>::sample(std::optional<double>, std::int64_t);

}  // namespace mujigae
