#include "mujigae/storage/available_memory.hpp"

#include <limits>
#include <optional>

#include "mujigae/check.hpp"
#include "mujigae/storage/descriptor.hpp"
#include "mujigae/storage/system.hpp"

namespace mujigae {
namespace {

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

}  // namespace

std::int64_t saturating_product(std::int64_t a, std::int64_t b) {
  std::int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? kUnlimited : product;
}

std::int64_t saturating_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? kUnlimited : sum;
}

std::int64_t available_memory_bytes(const std::string& root) { return system::available_memory(root).value_or(kUnlimited); }

void check_memory(const char* argument, std::int64_t bytes_needed) {
  constexpr std::int64_t kSmall = 1 << 20;  // not worth a look at the system
  if (bytes_needed <= kSmall) return;
  const std::int64_t available = available_memory_bytes();
  if (bytes_needed > available) {
    fail_value(argument, ": expected a size that fits into memory, got one that needs ", bytes_needed, " bytes of the ", available,
               " available");
  }
}

void check_disk(const char* argument, std::int64_t bytes_needed, const std::string& path) {
  const std::string folder = folder_of(path);
  const std::optional<std::int64_t> available = system::available_disk(folder);  // without one, creating the file will say why
  if (available && bytes_needed > *available) {
    fail_value(argument, ": expected a size that fits onto the disk, got one that needs ", bytes_needed, " bytes of the ", *available,
               " available in ", folder);
  }
}

}  // namespace mujigae
