// The loop of the checksum, one for each instruction set: crc32_loops.cpp, compiled once for each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mujigae/instruction_set.hpp"

namespace mujigae {

struct Crc32Loops {
  // The state (the checksum with its bits inverted) after these bytes.
  std::uint32_t (*after)(const std::byte* bytes, std::size_t size, std::uint32_t state);
};

template <InstructionSet kSet>
const Crc32Loops& crc32_loops();

}  // namespace mujigae
