#include "mujigae/storage/arena.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

namespace mujigae {

std::shared_ptr<std::byte> Arena::take(std::size_t size) {
  Pages block = find_spare(size);
  if (!block) block = Pages(static_cast<std::int64_t>(std::max(size, std::size_t{1})));
  std::byte* memory = block.get();
  return {memory, [arena = shared_from_this(), owned = std::make_shared<Pages>(std::move(block)), size](std::byte*) {
            arena->give_back(std::move(*owned), size);
          }};
}

Pages Arena::find_spare(std::size_t size) {
  const std::lock_guard lock(mutex_);
  for (Spares& spares : spares_) {
    if (spares.size != size || spares.blocks.empty()) continue;
    Pages block = std::move(spares.blocks.back());
    spares.blocks.pop_back();
    spare_bytes_ -= size;
    return block;
  }
  return {};
}

std::size_t Arena::spare_bytes() const {
  const std::lock_guard lock(mutex_);
  return spare_bytes_;
}

void Arena::drop_oldest_size() {
  spare_bytes_ -= spares_.front().size * spares_.front().blocks.size();
  spares_.pop_front();
}

void Arena::give_back(Pages block, std::size_t size) noexcept try {
  const std::lock_guard lock(mutex_);
  while (spare_bytes_ + size > kMaxSpareBytes && !spares_.empty() && spares_.front().size != size) drop_oldest_size();
  if (spare_bytes_ + size > kMaxSpareBytes) return;
  auto spares = std::find_if(spares_.begin(), spares_.end(), [size](const Spares& each) { return each.size == size; });
  if (spares == spares_.end()) spares = spares_.insert(spares, {size, {}});
  if (spares->blocks.size() == kMaxSpares) return;
  spares->blocks.push_back(std::move(block));
  spare_bytes_ += size;
  if (spares_.size() > kMaxSizes) drop_oldest_size();
} catch (const std::bad_alloc&) {  // no room to remember it: the block is freed
}

}  // namespace mujigae
