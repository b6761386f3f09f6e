#include "mujigae/storage/chunks.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace mujigae {

Chunks::Chunk Chunks::make(std::int64_t chunk) {
  if (is_in_file()) {
    slots_.file->reserve(slot_of(chunk), slot_bytes());
    return {slot_of(chunk), {}};
  }
  if (pool_ != nullptr) return {pool_->take(chunk_bytes_), {}};
  Pages memory = spare_ ? std::move(spare_) : Pages(chunk_bytes_);
  std::byte* const begin = memory.get();
  return {begin, std::move(memory)};
}

void Chunks::reserve(std::int64_t end) {
  while (this->end() < end) {
    if (is_in_file() && end - first_ > slots_.count) throw std::logic_error("more frames than a lane can need");
    chunks_.push_back(make(this->end()));
  }
}

void Chunks::drop_before(std::int64_t chunk) {
  while (first_ < chunk && !chunks_.empty()) {
    if (pool_ != nullptr) {
      pool_->give_back(chunks_.front().begin, chunk_bytes_);
    } else if (chunk_bytes_ >= Pages::kHugePage / 2) {
      spare_ = std::move(chunks_.front().memory);
    }
    chunks_.erase(chunks_.begin());
    release_slots(first_++, 1);
  }
}

void Chunks::give_back_to_pool() {
  if (pool_ == nullptr) return;
  for (const Chunk& chunk : chunks_) pool_->give_back(chunk.begin, chunk_bytes_);
}

void Chunks::restart_at(std::int64_t chunk) {
  give_back_to_pool();
  chunks_.clear();
  spare_ = {};
  first_ = chunk;
  release_slots(0, slots_.count);
}

void Chunks::put_in(const FileSlots& slots, std::int64_t chunk_bytes) {
  slots_ = slots;
  pool_ = nullptr;
  chunk_bytes_ = chunk_bytes;
}

bool Chunks::adopt(std::int64_t first, std::int64_t end) {
  if (end - first > slots_.count) return false;
  first_ = first;
  reserve(end);
  release_slots(end, slots_.count - (end - first));
  return true;
}

void Chunks::release_slots(std::int64_t first, std::int64_t count) const {
  if (!is_in_file()) return;
  const std::int64_t slot = first % slots_.count, before_wrap = std::min(count, slots_.count - slot);
  slots_.file->release(slots_.begin + slot * slot_bytes(), before_wrap * slot_bytes());
  slots_.file->release(slots_.begin, (count - before_wrap) * slot_bytes());
}

std::int64_t Chunks::nbytes() const {
  const std::int64_t bytes = is_in_file() ? slot_bytes() : chunk_bytes_;
  return static_cast<std::int64_t>(chunks_.size()) * (bytes + static_cast<std::int64_t>(sizeof(Chunk))) + (spare_ ? bytes : 0);
}

}  // namespace mujigae
