// What Python gives the constructor of a buffer, checked: nothing of it can make the engine read or write out of bounds.
// Threads: any, attached to the interpreter.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "batch_fields.hpp"
#include "mujigae/replay/buffer_settings.hpp"
#include "mujigae/storage/mapped_file.hpp"

namespace mujigae::bindings {

// obs: [(dtype, shape)], at least one; tree: how they make up an observation; action: (dtype, shape); extras: [(name, (dtype, shape))].
Layouts to_layouts(const py::list& obs, const py::object& tree, const py::tuple& action, const py::list& extras);

// stacks: of each observation, a divisor of the extent of its first axis.
BufferSettings to_settings(std::int64_t capacity, std::int64_t num_envs, std::int64_t n_step, double gamma, const Layouts& layouts,
                           const std::vector<std::int64_t>& stacks, bool validate, const py::object& seed, bool compress,
                           std::int64_t prefetch);

// file: (path, description, whether it is new), or None for a buffer in memory: nullptr.
std::unique_ptr<MappedFile> to_file(const py::object& file);

}  // namespace mujigae::bindings
