// Which instruction set the hot loops use, chosen once at start-up.
//
// The best one that the processor has, or the one named by the environment variable MUJIGAE_INSTRUCTION_SET (scalar, avx2,
// avx512) if the processor has it. All of them give the same bits.
#pragma once

#include <string>
#include <vector>

namespace mujigae {

enum class InstructionSet { kScalar, kAvx2, kAvx512 };

const char* name(InstructionSet set);
std::vector<InstructionSet> compiled_instruction_sets();
InstructionSet active_instruction_set();  // throws std::invalid_argument for a name that is unknown or not available here

}  // namespace mujigae
