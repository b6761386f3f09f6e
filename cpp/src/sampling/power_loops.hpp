// The loop of `power`, once for each instruction set: power_loops.cpp, compiled once for each.
#pragma once

#include <cstddef>

#include "mujigae/instruction_set.hpp"

namespace mujigae {

struct PowerLoops {
  // out[i] = base[i]^exponent for an exponent that is neither 0 nor 1; out may be base.
  void (*powers)(const double* base, double exponent, double* out, std::size_t count);
};

template <InstructionSet kSet>
const PowerLoops& power_loops();

}  // namespace mujigae
