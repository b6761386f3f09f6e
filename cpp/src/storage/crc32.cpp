#include "mujigae/storage/crc32.hpp"

#include "crc32_loops.hpp"
#include "mujigae/instruction_set.hpp"

namespace mujigae {

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc) {
  static const Crc32Loops& loops = of_active_set([]<InstructionSet kSet>() -> const Crc32Loops& { return crc32_loops<kSet>(); });
  return ~loops.after(bytes.data(), bytes.size(), ~crc);
}

}  // namespace mujigae
