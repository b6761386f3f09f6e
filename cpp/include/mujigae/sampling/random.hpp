// The counter-based generator Philox4x64-10 (Salmon et al. 2011), keyed and counted as NumPy's `Philox`.
//
// A stream is (key, counter). Each call of `fill` starts at a fresh block of four words and leaves the counter at the last
// block used, so NumPy's Philox(key=key, counter=counter).random_raw(n) gives the same words. A checkpoint is one integer.
//
// Threads: none; the owner locks.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace mujigae {

class Philox {
 public:
  using Key = std::array<std::uint64_t, 2>;

  explicit Philox(Key key, std::uint64_t counter = 0) : key_(key), counter_(counter) {}

  // The next out.size() words of the stream, from a fresh block on.
  void fill(std::span<std::uint64_t> out);

  const Key& key() const { return key_; }
  std::uint64_t counter() const { return counter_; }

 private:
  Key key_;
  std::uint64_t counter_;  // blocks drawn so far
};

// The top 53 bits as a double in [0, 1), as NumPy makes them.
inline double unit_interval(std::uint64_t word) { return static_cast<double>(word >> 11) * 0x1p-53; }

}  // namespace mujigae
