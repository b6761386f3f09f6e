// Integers of a file, read one by one; each is checked before it is believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "mujigae/check.hpp"
#include "mujigae/frames/frame_ring.hpp"

namespace mujigae {

struct Words {
  std::vector<std::int64_t> words;
  std::function<void(const std::string&)> fail;  // throws
  std::size_t at = 0;

  static constexpr std::int64_t kMaxCount = INT64_MAX;

  std::int64_t next() {
    if (at == words.size()) fail("a section that is too short");
    return words[at++];
  }
  std::int64_t next(std::int64_t low, std::int64_t high) {
    const std::int64_t word = next();
    if (word < low || word > high) fail(concat("a value of ", word, ", expected ", low, " to ", high));
    return word;
  }
  Stack next_stack() {
    const std::int64_t newest = next(-1, Stack::kMaxNewest);
    const std::int64_t depth = next(0, StackLane::kMaxStack - 1);
    return {newest, depth, static_cast<Padding>(next(0, 1))};
  }
  void finish() const {
    if (at != words.size()) fail("a section that is too long");
  }
};

inline void push_stack(std::vector<std::int64_t>& words, const Stack& stack) {
  words.insert(words.end(), {stack.newest(), stack.depth(), static_cast<std::int64_t>(stack.padding())});
}

}  // namespace mujigae
