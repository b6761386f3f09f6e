// The checksum of zlib and PNG (polynomial 0xEDB88320): any change within 32 neighbouring bits is detected.
//
// O(bytes), eight at a time. A long message may be given in parts: crc32(b, crc32(a)) is that of a and b together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mujigae {

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc = 0);

}  // namespace mujigae
