#include "mujigae/storage/pages.hpp"

#include <cstdlib>
#include <new>

#include "mujigae/storage/system.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kCacheLine = 64;

std::byte* aligned(void* memory, std::int64_t alignment) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory), unit = static_cast<std::uintptr_t>(alignment);
  return static_cast<std::byte*>(memory) + (unit - address % unit) % unit;
}

}  // namespace

Pages::Pages(std::int64_t bytes) {
  if (bytes == 0) return;
  if (bytes < kHugePage / 2) {
    memory_ = std::calloc(static_cast<std::size_t>(bytes + kCacheLine), 1);
    if (memory_ == nullptr) throw std::bad_alloc();
    begin_ = aligned(memory_, kCacheLine);
    return;
  }
  const auto mapped_bytes = static_cast<std::size_t>(bytes + kHugePage);
  void* const memory = system::map_memory(mapped_bytes);
  if (memory == nullptr) throw std::bad_alloc();
  memory_ = memory;
  mapped_bytes_ = mapped_bytes;
  begin_ = aligned(memory_, kHugePage);
  system::ask_for_huge_pages(begin_, static_cast<std::size_t>(bytes / kHugePage * kHugePage));
}

Pages::~Pages() {
  if (mapped_bytes_ > 0) {
    system::unmap_memory(memory_, mapped_bytes_);
  } else {
    std::free(memory_);
  }
}

}  // namespace mujigae
