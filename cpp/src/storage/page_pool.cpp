#include "mujigae/storage/page_pool.hpp"

namespace mujigae {

std::byte* PagePool::take(std::int64_t bytes) {
  OfSize& blocks = blocks_[bytes];
  if (blocks.free.empty()) cut(bytes, blocks);
  std::byte* const block = blocks.free.back();
  blocks.free.pop_back();
  num_free_bytes_ -= bytes;
  ++num_used_;
  return block;
}

void PagePool::cut(std::int64_t bytes, OfSize& blocks) {
  blocks.free.reserve(blocks.num_blocks + 1);
  if (pieces_.empty() || num_cut_ + bytes > kPieceBytes) {
    pieces_.emplace_back(kPieceBytes);
    num_cut_ = 0;
  }
  blocks.free.push_back(pieces_.back().get() + num_cut_);
  ++blocks.num_blocks;
  num_cut_ += (bytes + kLine - 1) / kLine * kLine;
  num_free_bytes_ += bytes;
}

void PagePool::give_back(std::byte* block, std::int64_t bytes) {
  blocks_[bytes].free.push_back(block);
  num_free_bytes_ += bytes;
  if (--num_used_ > 0) return;
  blocks_.clear();
  pieces_.clear();
  num_cut_ = num_free_bytes_ = 0;
}

}  // namespace mujigae
