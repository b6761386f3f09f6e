#include "mujigae/instruction_set.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>

using namespace mujigae;

TEST_CASE("every compiled instruction set has a name of its own, and scalar is always there") {
  const auto compiled = compiled_instruction_sets();
  REQUIRE(!compiled.empty());
  CHECK(compiled.front() == InstructionSet::kScalar);
  std::set<std::string> names;
  for (const InstructionSet set : compiled) names.insert(name(set));
  CHECK(names.size() == compiled.size());
}

// One process has one choice, so the order is part of the test: an error makes none.
TEST_CASE("an unknown name is refused by naming it, and a known one is used for good") {
  ::setenv("MUJIGAE_INSTRUCTION_SET", "abacus", 1);
  CHECK_THROWS_WITH_AS(active_instruction_set(), doctest::Contains("abacus"), std::invalid_argument);
  ::setenv("MUJIGAE_INSTRUCTION_SET", "scalar", 1);
  CHECK(active_instruction_set() == InstructionSet::kScalar);
  ::setenv("MUJIGAE_INSTRUCTION_SET", "avx2", 1);
  CHECK(active_instruction_set() == InstructionSet::kScalar);
}
