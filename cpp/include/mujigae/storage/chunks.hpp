// Memory in chunks of one size, numbered from 0 for ever: new ones come at the end, old ones go at the front.
//
// In memory (pages.hpp, page_pool.hpp), where a large one that was dropped is kept to be used again; or each in a slot of a mapped file: chunk n lies in
// slot n % num_slots. A slot takes up space on the disk from reserve on until its chunk is dropped.
// O(1) everything. Threads: none; the owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mujigae/storage/mapped_file.hpp"
#include "mujigae/storage/page_pool.hpp"
#include "mujigae/storage/pages.hpp"

namespace mujigae {

class Chunks {
 public:
  // pool: where chunks smaller than a huge page come from, if it is given; it outlives them.
  explicit Chunks(std::int64_t chunk_bytes, PagePool* pool = nullptr)
      : chunk_bytes_(chunk_bytes), pool_(chunk_bytes < Pages::kHugePage ? pool : nullptr) {}
  Chunks(const Chunks&) = delete;
  Chunks& operator=(const Chunks&) = delete;
  ~Chunks() { give_back_to_pool(); }

  std::byte* operator[](std::int64_t chunk) const { return chunks_[static_cast<std::size_t>(chunk - first_)].begin; }
  void reserve(std::int64_t end);  // all chunks before `end` are there
  void drop_before(std::int64_t chunk);
  void restart_at(std::int64_t chunk);  // none are there

  // In a file: slots for so many chunks, from `begin` on; to be given before the first chunk.
  struct FileSlots {
    MappedFile* file = nullptr;
    std::byte* begin = nullptr;
    std::int64_t count = 0;
  };
  static std::int64_t slot_bytes(std::int64_t chunk_bytes) { return round_up_to(kSlotAlignment, chunk_bytes); }
  void put_in(const FileSlots& slots, std::int64_t chunk_bytes);
  bool adopt(std::int64_t first, std::int64_t end);  // those of an earlier process; false: there are not enough slots for them
  bool is_in_file() const { return slots_.file != nullptr; }

  std::int64_t first() const { return first_; }
  std::int64_t end() const { return first_ + static_cast<std::int64_t>(chunks_.size()); }
  std::int64_t nbytes() const;

 private:
  static constexpr std::int64_t kSlotAlignment = 4096;

  struct Chunk {
    std::byte* begin;
    Pages memory;  // none in a file, or of a pool
  };

  std::int64_t slot_bytes() const { return slot_bytes(chunk_bytes_); }
  std::byte* slot_of(std::int64_t chunk) const { return slots_.begin + chunk % slots_.count * slot_bytes(); }
  Chunk make(std::int64_t chunk);
  void give_back_to_pool();
  void release_slots(std::int64_t first, std::int64_t count) const;

  std::int64_t chunk_bytes_;
  PagePool* pool_;
  std::int64_t first_ = 0;
  std::vector<Chunk> chunks_;  // few: to move them along when the first one goes costs nothing beside it
  Pages spare_;
  FileSlots slots_;
};

}  // namespace mujigae
