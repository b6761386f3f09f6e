#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bound_buffer.hpp"
#include "bound_snapshot.hpp"
#include "buffer_arguments.hpp"
#include "gil.hpp"
#include "module.hpp"
#include "mujigae/replay/replay_buffer.hpp"
#include "samplers.hpp"

namespace mujigae::bindings {
namespace {

using Bound = BoundBuffer;
using BufferClass = py::class_<Bound>;

std::unique_ptr<BoundBuffer> make_buffer(const BufferSettings& settings, const SamplerPlan& sampler, const Layouts& layouts,
                                         const py::object& file) {
  std::unique_ptr<MappedFile> mapped = to_file(file);
  std::unique_ptr<ReplayBuffer> buffer;
  {
    const ReleasedGil release;  // a file that is opened again is read completely
    buffer = std::make_unique<ReplayBuffer>(settings, sampler, std::move(mapped));
  }
  return std::make_unique<BoundBuffer>(std::move(buffer), layouts);
}

void bind_constructor(BufferClass& buffer) {
  buffer.def(
      py::init([](std::int64_t capacity, std::int64_t num_envs, std::int64_t n_step, double gamma, const py::list& obs,
                  const std::vector<std::int64_t>& stacks, const py::tuple& action, bool validate, const py::object& seed, bool compress,
                  const py::object& file, std::int64_t prefetch, const py::tuple& sampler, const py::object& tree, const py::list& extras) {
        const Layouts layouts = to_layouts(obs, tree, action, extras);
        const BufferSettings settings = to_settings(capacity, num_envs, n_step, gamma, layouts, stacks, validate, seed, compress, prefetch);
        return make_buffer(settings, to_sampler_plan(sampler), layouts, file);
      }),
      py::kw_only(), py::arg("capacity"), py::arg("num_envs"), py::arg("n_step"), py::arg("gamma"), py::arg("obs"), py::arg("stacks"),
      py::arg("action"), py::arg("validate"), py::arg("seed"), py::arg("compress"), py::arg("file"), py::arg("prefetch"),
      py::arg("sampler"), py::arg("tree"), py::arg("extras"));
}

void bind_rows(BufferClass& buffer) {
  const auto release = py::call_guard<ReleasedGil>();
  buffer
      .def("add", &Bound::add, py::arg("obs"), py::arg("action"), py::arg("reward"), py::arg("next_obs"), py::arg("terminated"),
           py::arg("truncated"), py::arg("env_ids"), py::arg("num_steps"), py::arg("priority"), py::arg("extras"))
      .def("add_exact", &Bound::add_exact, py::arg("obs"), py::arg("action"), py::arg("reward"), py::arg("next_obs"), py::arg("terminated"),
           py::arg("truncated"), py::arg("env_ids"), py::arg("priority"), py::arg("extras"))
      .def("update_priorities", &Bound::update_priorities, py::arg("key"), py::arg("priorities"))
      .def("priorities", &Bound::priorities, py::arg("key"))
      .def(
          "end_episodes", [](Bound& self, const std::optional<std::vector<std::int64_t>>& ids) { self.buffer().end_episodes(ids); },
          py::arg("env_ids"), release);
}

void bind_sampling(BufferClass& buffer) {
  const auto release = py::call_guard<ReleasedGil>();
  buffer.def("sample_sequences", &Bound::sample_sequences, py::arg("batch_size"), py::arg("length"), py::arg("burn_in"), py::arg("beta"))
      .def("draw", &Bound::draw, py::arg("batch_size"))
      .def("gather", &Bound::gather, py::arg("key"), py::arg("beta"))
      .def("next_key", &Bound::next_key, py::arg("key"))
      .def("last_key", &Bound::last_key)
      .def("episodes", &Bound::episodes)
      .def("read_episode", &Bound::read_episode, py::arg("env"), py::arg("first"), py::arg("count"), py::arg("with_obs"))
      .def(
          "reseed",
          [](Bound& self, const py::object& seed) {
            const Philox::Key key = philox_key(seed);
            const ReleasedGil unlocked;
            self.buffer().reseed(key);
          },
          py::arg("seed"))
      .def("sample", &Bound::sample, py::arg("batch_size"), py::arg("beta"), py::arg("out"))
      .def("sample_mirrored", &Bound::sample_mirrored, py::arg("beta"), py::arg("out"), py::arg("max_frames"))
      .def("restart_mirrors", [](Bound& self) { self.buffer().restart_mirrors(); }, release);
}

void bind_storage(BufferClass& buffer) {
  const auto release = py::call_guard<ReleasedGil>();
  buffer.def(
            "clear", [](Bound& self) { self.buffer().clear(); }, release)
      .def(
          "save", [](Bound& self, const std::string& path, const std::string& meta) { self.buffer().save(path, meta); }, py::arg("path"),
          py::arg("meta"), release)
      .def(
          "load", [](Bound& self, BoundSnapshot& snapshot) { self.buffer().load(snapshot.reader()); }, py::arg("snapshot"), release)
      .def("to_pieces", &Bound::to_pieces, py::arg("meta"))
      .def(
          "flush", [](Bound& self) { self.buffer().flush(); }, release)
      .def("check_valid", &Bound::check_valid)
      .def("__len__", [](Bound& self) { return self.buffer().size(); }, release);
}

void bind_properties(BufferClass& buffer) {
  const auto release = py::call_guard<ReleasedGil>();
  buffer
      .def_property("n_step", py::cpp_function([](Bound& self) { return self.buffer().n_step(); }, release),
                    py::cpp_function([](Bound& self, std::int64_t n) { self.buffer().set_n_step(n); }, release))
      .def_property("gamma", py::cpp_function([](Bound& self) { return self.buffer().gamma(); }, release),
                    py::cpp_function([](Bound& self, double gamma) { self.buffer().set_gamma(gamma); }, release))
      .def_property("alpha", py::cpp_function([](Bound& self) { return self.buffer().alpha(); }, release),
                    py::cpp_function([](Bound& self, double alpha) { self.buffer().set_alpha(alpha); }, release))
      .def_property("beta", py::cpp_function([](Bound& self) { return self.buffer().beta(); }, release),
                    py::cpp_function([](Bound& self, double beta) { self.buffer().set_beta(beta); }, release))
      .def_property_readonly("max_priority", py::cpp_function([](Bound& self) { return self.buffer().max_priority(); }, release))
      .def_property_readonly("nbytes", py::cpp_function([](Bound& self) { return self.buffer().nbytes(); }, release))
      .def_property_readonly("num_added", py::cpp_function([](Bound& self) { return self.buffer().num_added(); }, release))
      .def_property_readonly("num_silent_boundaries",
                             py::cpp_function([](Bound& self) { return self.buffer().num_silent_boundaries(); }, release))
      .def_property_readonly("num_doubtful_starts",
                             py::cpp_function([](Bound& self) { return self.buffer().num_doubtful_starts(); }, release));
}

void bind_buffer(py::module_& m) {
  BufferClass buffer(m, "Buffer", "The core of a replay buffer: exactly typed arrays in and out. mujigae.replay.buffer is its shell.");
  bind_constructor(buffer);
  bind_rows(buffer);
  bind_sampling(buffer);
  bind_storage(buffer);
  bind_properties(buffer);
}

void bind_errors(py::module_& m) {
  py::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const SnapshotError& e) {
      py::set_error(py::module_::import("mujigae.errors").attr("SnapshotError"), e.what());
    } catch (const std::system_error& e) {
      const py::object os_error = py::module_::import("builtins").attr("OSError")(e.code().value(), e.what());
      PyErr_SetObject(PyExc_OSError, os_error.ptr());
    }
  });
}

void bind_snapshot(py::module_& m) {
  py::class_<BoundSnapshot>(m, "Snapshot", "A saved buffer, opened. SnapshotError for a file that is none, OSError when it cannot be read.")
      .def(py::init<const std::string&>(), py::arg("path"))
      .def_property_readonly("meta", &BoundSnapshot::meta, "How to construct the buffer.")
      .def_property_readonly("size", &BoundSnapshot::size, "Bytes of all of it.")
      .def_property_readonly("is_file_backed", &BoundSnapshot::is_file_backed, "Whether this is the storage of a buffer itself.");
  m.def("snapshot_of", &BoundSnapshot::of, py::arg("pieces"), "The snapshot in these bytes, one after the other.");
}

}  // namespace

void bind_replay_buffer(py::module_& m) {
  bind_errors(m);
  bind_snapshot(m);

  bind_buffer(m);
}

}  // namespace mujigae::bindings
