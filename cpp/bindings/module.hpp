#pragma once

#include <pybind11/pybind11.h>

namespace mujigae::bindings {

void bind_build_info(pybind11::module_& m);
void bind_sum_tree(pybind11::module_& m);
void bind_frame_ring(pybind11::module_& m);
void bind_n_step(pybind11::module_& m);
void bind_replay_buffer(pybind11::module_& m);

}  // namespace mujigae::bindings
