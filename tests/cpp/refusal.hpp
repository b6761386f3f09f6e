// What a file or snapshot is refused with.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "mujigae/replay/snapshot.hpp"

namespace mujigae {

// Nothing: `work` was not refused.
template <class Work>
std::string refusal_of(const Work& work) {
  try {
    work();
  } catch (const SnapshotError& error) {
    return error.what();
  }
  return "";
}

inline void check_says(const std::string& refusal, const std::string& what) {
  CAPTURE(refusal);
  CHECK(refusal.find(what) != std::string::npos);
}

}  // namespace mujigae
