#include "mujigae/instruction_set.hpp"

#include <cstdlib>

#include "mujigae/check.hpp"
#include "mujigae/storage/system.hpp"

namespace mujigae {
namespace {

bool is_available(InstructionSet set) {
  switch (set) {
    case InstructionSet::kAvx2: return system::has_avx2();
    case InstructionSet::kAvx512: return system::has_avx512();
    default: return true;  // of those that are compiled for the processor's family
  }
}

InstructionSet choose() {
  const char* wanted = std::getenv("MUJIGAE_INSTRUCTION_SET");
  InstructionSet best = InstructionSet::kScalar;
  for (const InstructionSet set : compiled_instruction_sets()) {
    if (!is_available(set)) continue;
    best = set;
    if (wanted != nullptr && name(set) == std::string(wanted)) return set;
  }
  if (wanted != nullptr && *wanted != '\0') {
    fail_value("MUJIGAE_INSTRUCTION_SET: expected an instruction set of this processor (best: ", name(best), "), got '", wanted, "'");
  }
  return best;
}

}  // namespace

const char* name(InstructionSet set) {
  switch (set) {
    case InstructionSet::kAvx2: return "avx2";
    case InstructionSet::kAvx512: return "avx512";
    case InstructionSet::kNeon: return "neon";
    default: return "scalar";
  }
}

std::vector<InstructionSet> compiled_instruction_sets() {
#if defined(__x86_64__)
  return {InstructionSet::kScalar, InstructionSet::kAvx2, InstructionSet::kAvx512};
#elif defined(__aarch64__)
  return {InstructionSet::kScalar, InstructionSet::kNeon};
#else
  return {InstructionSet::kScalar};
#endif
}

InstructionSet active_instruction_set() {
  static const InstructionSet chosen = choose();
  return chosen;
}

}  // namespace mujigae
