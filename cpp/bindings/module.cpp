// mujigae._core: a table of contents.
#include "module.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled half of mujigae: exact, typed and checked; python/mujigae/replay/ is its friendly shell.";
  mujigae::bindings::bind_build_info(m);
  mujigae::bindings::bind_sum_tree(m);
  mujigae::bindings::bind_frame_ring(m);
  mujigae::bindings::bind_n_step(m);
  mujigae::bindings::bind_replay_buffer(m);
}
