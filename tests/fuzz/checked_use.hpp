// What is asked of every buffer that was read from a file, forged or not: it is valid, goes on working, and saves what can be
// loaded. Anything else is a finding, which ends the program.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "kinds.hpp"

namespace mujigae {

[[noreturn]] inline void report(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

inline void expect_valid(const std::string& when, const std::string& reason) {
  if (!reason.empty()) report(when + ": " + reason);
}

// A file may hold leaves and exponents from which no draw can be made; then a draw is refused with an error.
template <class Buffer>
void draw_or_be_refused(Buffer& buffer, const Kind& kind) {
  try {
    if (buffer.size() > 0) draw(buffer, kind);
  } catch (const std::invalid_argument&) {}
}

// Nothing that a buffer saves is refused.
template <class Buffer>
void load_again(const Buffer& buffer, const Kind& kind) {
  const auto pieces = buffer.to_pieces("meta");
  with_empty_buffer(kind, [&](auto& again) {
    try {
      SnapshotReader reader(std::vector<std::span<const std::byte>>(pieces.begin(), pieces.end()));
      read_snapshot_meta(reader);
      again.load(reader);
    } catch (const SnapshotError& error) {
      report(std::string("a buffer saves what is refused: ") + error.what());
    }
    if (again.to_pieces("meta") != pieces) report("a buffer that was loaded saves something else");
  });
}

template <class Buffer>
void go_on(Buffer& buffer, const Kind& kind) {
  expect_valid("after reading", buffer.why_invalid());
  draw_or_be_refused(buffer, kind);
  play(buffer, kind, 99, 12);
  draw_or_be_refused(buffer, kind);
  expect_valid("after going on", buffer.why_invalid());
  load_again(buffer, kind);
}

}  // namespace mujigae
