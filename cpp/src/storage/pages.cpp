#include "mujigae/storage/pages.hpp"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace mujigae {
namespace {

constexpr std::int64_t kCacheLine = 64;

std::byte* aligned(void* memory, std::int64_t alignment) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory), unit = static_cast<std::uintptr_t>(alignment);
  return reinterpret_cast<std::byte*>((address + unit - 1) / unit * unit);
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
  void* const memory = ::mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = memory;
  mapped_bytes_ = mapped_bytes;
  begin_ = aligned(memory_, kHugePage);
#ifdef MADV_HUGEPAGE
  ::madvise(begin_, static_cast<std::size_t>(bytes / kHugePage * kHugePage), MADV_HUGEPAGE);  // no is an answer too
#endif
}

Pages::~Pages() {
  if (mapped_bytes_ > 0) {
    ::munmap(memory_, mapped_bytes_);
  } else {
    std::free(memory_);
  }
}

}  // namespace mujigae
