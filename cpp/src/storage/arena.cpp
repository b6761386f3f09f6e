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
    return block;
  }
  return {};
}

void Arena::give_back(Pages block, std::size_t size) noexcept try {
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
