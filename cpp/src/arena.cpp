#include "mujigae/arena.hpp"

#include <algorithm>
#include <new>

namespace mujigae {

std::shared_ptr<std::byte> Arena::take(std::size_t size) {
  Block block = find_spare(size);
  if (!block) {
    const std::size_t whole = std::max(size, std::size_t{1});
    block.reset(static_cast<std::byte*>(::operator new(whole, std::align_val_t{kAlignment})));
  }
  std::byte* memory = block.get();
  return {memory, [arena = shared_from_this(), owned = std::make_shared<Block>(std::move(block)), size](std::byte*) {
            arena->give_back(std::move(*owned), size);
          }};
}

Arena::Block Arena::find_spare(std::size_t size) {
  const std::lock_guard lock(mutex_);
  for (Spares& spares : spares_) {
    if (spares.size != size || spares.blocks.empty()) continue;
    Block block = std::move(spares.blocks.back());
    spares.blocks.pop_back();
    return block;
  }
  return nullptr;
}

void Arena::give_back(Block block, std::size_t size) noexcept try {
  const std::lock_guard lock(mutex_);
  for (Spares& spares : spares_) {
    if (spares.size != size) continue;
    if (spares.blocks.size() < kMaxSpares) spares.blocks.push_back(std::move(block));
    return;
  }
  spares_.push_back({size, {}});
  spares_.back().blocks.push_back(std::move(block));
  if (spares_.size() > kMaxSizes) spares_.pop_front();
} catch (const std::bad_alloc&) {  // no room to remember it: the block is freed
}

}  // namespace mujigae
