// Which instruction set the hot loops use, chosen once at start-up.
//
// The best one that the processor has, or the one named by the environment variable MUJIGAE_INSTRUCTION_SET (scalar, avx2,
// avx512, neon) if the processor has it. All of them give the same bits.
//
// The loops of an engine part lie in `<part>_loops.cpp`, which is compiled once for each set, with the compiler's options for it
// (CMakeLists.txt) and with MUJIGAE_SET naming it; `<part>_loops.hpp` declares the table of functions that each of them defines.
// Such a file uses no inline function of a header: the linker keeps one copy of those, and might keep one with instructions that
// the processor does not have. The test `loops_are_local` looks.
#pragma once

#include <string>
#include <vector>

namespace mujigae {

enum class InstructionSet { kScalar, kAvx2, kAvx512, kNeon };

const char* name(InstructionSet set);
std::vector<InstructionSet> compiled_instruction_sets();
InstructionSet active_instruction_set();  // throws std::invalid_argument for a name that is unknown or not available here

// What `table.template operator()<set>()` returns for the set in use.
template <class Table>
const auto& of_active_set(const Table& table) {
  switch (active_instruction_set()) {
#if defined(__x86_64__)
    case InstructionSet::kAvx2: return table.template operator()<InstructionSet::kAvx2>();
    case InstructionSet::kAvx512: return table.template operator()<InstructionSet::kAvx512>();
#elif defined(__aarch64__)
    case InstructionSet::kNeon: return table.template operator()<InstructionSet::kNeon>();
#endif
    default: return table.template operator()<InstructionSet::kScalar>();
  }
}

}  // namespace mujigae
