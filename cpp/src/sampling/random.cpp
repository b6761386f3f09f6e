#include "mujigae/sampling/random.hpp"

namespace mujigae {
namespace {

using Block = std::array<std::uint64_t, 4>;

struct Product {
  std::uint64_t high, low;
};

Product multiply(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide wide = static_cast<Wide>(a) * b;
  return {static_cast<std::uint64_t>(wide >> 64), static_cast<std::uint64_t>(wide)};
}

Block philox_block(std::uint64_t counter, Philox::Key key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2E7470EE14C6C93, kMultiplier1 = 0xCA5A826395121157;
  constexpr std::uint64_t kWeyl0 = 0x9E3779B97F4A7C15, kWeyl1 = 0xBB67AE8584CAA73B;
  Block x = {counter, 0, 0, 0};
  for (int round = 0; round < 10; ++round) {
    const Product a = multiply(kMultiplier0, x[0]);
    const Product b = multiply(kMultiplier1, x[2]);
    x = {b.high ^ x[1] ^ key[0], b.low, a.high ^ x[3] ^ key[1], a.low};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return x;
}

}  // namespace

void Philox::fill(std::span<std::uint64_t> out) {
  for (std::size_t i = 0; i < out.size(); i += 4) {
    const Block block = philox_block(++counter_, key_);
    for (std::size_t j = 0; j < 4 && i + j < out.size(); ++j) out[i + j] = block[j];
  }
}

}  // namespace mujigae
