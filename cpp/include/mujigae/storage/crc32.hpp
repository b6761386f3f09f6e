// The checksum of zlib and PNG (polynomial 0xEDB88320): any change within 32 neighbouring bits is detected.
//
// O(bytes), 64 at a time where the processor multiplies polynomials (x86 with AVX2), else eight. Every way gives the same. A long message may be given in parts: crc32(b, crc32(a)) is that of a and b together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mujigae {

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc = 0);

}  // namespace mujigae
