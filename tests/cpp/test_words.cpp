#include "mujigae/replay/words.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

using namespace mujigae;

namespace {

Words words_of(std::vector<std::int64_t> words) {
  return {std::move(words), [](const std::string& what) { throw std::runtime_error(what); }};
}

}  // namespace

TEST_CASE("words are read in order, and then nothing is left") {
  std::vector<std::int64_t> written = {-5};
  push_stack(written, {7, 2, Padding::kRepeat});
  Words words = words_of(written);
  CHECK(words.next() == -5);
  CHECK(words.next_stack() == Stack{7, 2, Padding::kRepeat});
  CHECK_NOTHROW(words.finish());
  CHECK_THROWS_WITH(words.next(), "a section that is too short");
  CHECK_THROWS_WITH(words_of({1}).finish(), "a section that is too long");
}

TEST_CASE("a word outside of its range is refused with the word and the range") {
  CHECK(words_of({3}).next(3, 3) == 3);
  CHECK_THROWS_WITH(words_of({2}).next(3, 5), "a value of 2, expected 3 to 5");
  CHECK_THROWS_WITH(words_of({6}).next(3, 5), "a value of 6, expected 3 to 5");
}

TEST_CASE("a stack that cannot be is refused") {
  const std::int64_t far = Stack::kMaxNewest + 1;
  for (const std::vector<std::int64_t>& stack : std::vector<std::vector<std::int64_t>>{
           {-2, 0, 0}, {far, 0, 0}, {0, -1, 0}, {0, StackLane::kMaxStack, 0}, {0, 0, -1}, {0, 0, 2}, {0, 0}}) {
    CHECK_THROWS_AS(words_of(stack).next_stack(), std::runtime_error);
  }
}
