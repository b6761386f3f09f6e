// How much memory a buffer may take: what the system and the process's control groups still have, swap included.
//
// Files of the system are read under `root`, empty but in tests. What cannot be read sets no limit.
#pragma once

#include <cstdint>
#include <string>

namespace mujigae {

std::int64_t available_memory_bytes(const std::string& root = "");

// ValueError naming the argument, the bytes needed and the bytes available, when they are too few.
void check_memory(const char* argument, std::int64_t bytes_needed);

// The same for the disk that `path` would lie on.
void check_disk(const char* argument, std::int64_t bytes_needed, const std::string& path);

// a x b and a + b of counts that are not negative; 2^63 - 1 when that is too small.
std::int64_t saturating_product(std::int64_t a, std::int64_t b);
std::int64_t saturating_sum(std::int64_t a, std::int64_t b);

}  // namespace mujigae
