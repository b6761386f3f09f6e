// Any bytes as a part: they are refused, or decode to a frame that is encoded and decoded again to the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "mujigae/frames/frame_codec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mujigae;
  using Bytes = std::vector<std::byte>;
  if (size < 3) return 0;
  const std::size_t frame_bytes = 1 + data[0] * 3;
  const std::int64_t row_bytes = 1 + data[1] % 100;
  Bytes base(frame_bytes), frame(frame_bytes), again(frame_bytes);
  for (std::size_t i = 0; i < frame_bytes; ++i) base[i] = static_cast<std::byte>(i * data[2] / 16);

  const Bytes part(reinterpret_cast<const std::byte*>(data) + 3, reinterpret_cast<const std::byte*>(data) + size);
  if (!decode(FramePart::at(part), base.data(), row_bytes, frame)) return 0;
  FrameEncoder encoder(static_cast<std::int64_t>(frame_bytes), row_bytes);
  for (const std::byte* from : {static_cast<const std::byte*>(nullptr), static_cast<const std::byte*>(base.data())}) {
    const std::span<const std::byte> written = encoder.encode(frame.data(), from);
    const Bytes exact(written.begin(), written.end());
    if (!decode(FramePart::at(exact), from, row_bytes, again) || again != frame) std::abort();
  }
  return 0;
}
