// Snapshots as Python sees them. Threads: one at a time, attached to the interpreter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae::bindings {

// A snapshot, in a file or in memory: its description is read at once, the rest by a buffer's load.
class BoundSnapshot {
 public:
  explicit BoundSnapshot(const std::string& path) : reader_(path), meta_(read_snapshot_meta(reader_)) {}
  explicit BoundSnapshot(std::vector<py::buffer_info> memory)
      : memory_(std::move(memory)), reader_(to_spans(memory_)), meta_(read_snapshot_meta(reader_)) {}

  static std::unique_ptr<BoundSnapshot> of(const std::vector<py::buffer>& pieces) {
    std::vector<py::buffer_info> memory;
    for (const py::buffer& piece : pieces) {
      memory.push_back(piece.request());
      const py::buffer_info& info = memory.back();
      if (info.itemsize != 1 || info.ndim != 1 || info.strides[0] != 1) throw py::type_error("pieces: expected contiguous bytes");
    }
    return std::make_unique<BoundSnapshot>(std::move(memory));
  }
  py::bytes meta() const { return meta_; }
  std::uint64_t size() const { return reader_.size(); }
  bool is_file_backed() { return reader_.next_is(section_tag("LIVE")); }
  SnapshotReader& reader() { return reader_; }

 private:
  static std::vector<std::span<const std::byte>> to_spans(const std::vector<py::buffer_info>& memory) {
    std::vector<std::span<const std::byte>> spans;
    for (const py::buffer_info& info : memory)
      spans.emplace_back(static_cast<const std::byte*>(info.ptr), static_cast<std::size_t>(info.size));
    return spans;
  }

  std::vector<py::buffer_info> memory_;
  SnapshotReader reader_;
  std::string meta_;
};

}  // namespace mujigae::bindings
