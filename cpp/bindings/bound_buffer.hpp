// A replay buffer as Python sees it. Threads: any, attached to the interpreter.
#pragma once

#include <pybind11/stl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "batch_fields.hpp"
#include "buffer_arguments.hpp"
#include "exact_step.hpp"
#include "gil.hpp"
#include "mujigae/replay/replay_buffer.hpp"

namespace mujigae::bindings {

// The typed face of one ReplayBuffer: knows dtypes and shapes, allocates batches, and releases the GIL around every call
// into the core, which locks by itself and touches nothing of Python.
class BoundBuffer {
 public:
  BoundBuffer(std::unique_ptr<ReplayBuffer> buffer, const Layouts& layouts)
      : action_("action", layouts.action),
        reward_("reward", Layouts::scalar<double>()),
        terminated_("terminated", Layouts::scalar<bool>()),
        truncated_("truncated", Layouts::scalar<bool>()),
        layouts_(layouts),
        fields_(layouts, buffer->schema(), BatchFields::Kind::kRows),
        mirror_fields_(to_mirror_layouts(layouts, buffer->obs()), buffer->schema(), BatchFields::Kind::kRows),
        exact_(layouts, buffer->num_envs()),
        buffer_(std::move(buffer)) {
    for (const ArrayLayout& one : layouts.extras) extras_.emplace_back("extras", one);
    for (const ArrayLayout& one : layouts.obs) {
      obs_.emplace_back("obs", one);
      next_obs_.emplace_back("next_obs", one);
    }
  }
  ~BoundBuffer() {
    const ReleasedGil release;  // a file is flushed
    buffer_.reset();
  }

  void add(const std::vector<py::object>& obs, const py::object& action, const py::object& reward, const std::vector<py::object>& next_obs,
           const py::object& terminated, const py::object& truncated, const py::object& env_ids, std::int64_t num_steps,
           const py::object& priority, const std::vector<py::object>& extras) {
    const Copied<std::int64_t> ids = copied(integers("env_ids", env_ids));
    const auto rows = static_cast<py::ssize_t>(num_rows(num_steps, static_cast<std::int64_t>(ids.size())));
    StepsView steps{num_steps, ids, {}, {}, nullptr, nullptr, nullptr, nullptr};
    steps.obs = inputs(obs_, obs, rows);
    steps.next_obs = inputs(next_obs_, next_obs, rows);
    steps.action = action_.data_in(action, rows);
    steps.reward = reinterpret_cast<const double*>(reward_.data_in(reward, rows));
    steps.terminated = reinterpret_cast<const bool*>(terminated_.data_in(terminated, rows));
    steps.truncated = reinterpret_cast<const bool*>(truncated_.data_in(truncated, rows));
    if (!priority.is_none()) steps.priority = reinterpret_cast<const double*>(priority_.data_in(priority, rows));
    if (!extras_.empty()) steps.extras = inputs(extras_, extras, rows);
    const ReleasedGil release;  // the arguments keep the arrays alive
    buffer_->add(steps);
  }

  // One step of environments, if the arguments are exact (exact_step.hpp): then the doubtful starts so far, else None.
  std::optional<std::int64_t> add_exact(const py::handle& obs, const py::handle& action, const py::handle& reward,
                                        const py::handle& next_obs, const py::handle& terminated, const py::handle& truncated,
                                        const py::handle& env_ids, const py::handle& priority, const py::handle& extras) {
    if (!priority.is_none() && !buffer_->has_priorities()) return std::nullopt;
    ExactStep step(exact_);
    if (!step.read({obs, action, reward, next_obs, terminated, truncated, env_ids, priority, extras})) return std::nullopt;
    const ReleasedGil release;  // the arguments keep the arrays alive
    buffer_->add(step.view);
    return buffer_->num_doubtful_starts();
  }

  // A new Batch, or the arrays of `out` refilled. beta: None for the buffer's own.
  py::object sample(const py::object& batch_size, const py::object& beta, const py::object& out) {
    const std::int64_t size = batch_size_of(batch_size);
    const std::optional<double> exponent = beta.is_none() ? std::nullopt : std::optional(real("beta", beta));
    if (!out.is_none()) {
      const BatchView view = fields_.view_of(out, size);
      {
        const ReleasedGil release;  // the argument keeps the arrays alive
        buffer_->sample(exponent, view);
      }
      return out;
    }
    const BatchMemory memory = [&] {
      const ReleasedGil release;
      return buffer_->sample(exponent, size);
    }();
    return fields_.batch_on(memory);
  }

  // (key [B], probability [B])
  py::tuple draw(const py::object& batch_size) {
    const std::int64_t size = batch_size_of(batch_size);
    auto keys = new_vector<std::int64_t>(size);
    auto probabilities = new_vector<double>(size);
    const std::span<std::int64_t> key_span(keys.mutable_data(), static_cast<std::size_t>(size));
    const std::span<double> probability_span(probabilities.mutable_data(), static_cast<std::size_t>(size));
    {
      const ReleasedGil release;  // nobody else has the arrays yet
      buffer_->draw(key_span, probability_span);
    }
    return py::make_tuple(keys, probabilities);
  }

  py::object gather(const py::object& key, const py::object& beta) {
    const auto keys = copied(integers("key", key));
    if (keys.size() == 0) fail_value("key: expected at least one, got none");
    const std::optional<double> exponent = beta.is_none() ? std::nullopt : std::optional(real("beta", beta));
    BatchMemory memory;
    {
      const ReleasedGil release;
      memory = buffer_->gather(keys, exponent);
    }
    return fields_.batch_on(memory);
  }

  py::object sample_sequences(const py::object& batch_size, const py::object& length, const py::object& burn_in, const py::object& beta) {
    const std::int64_t size = batch_size_of(batch_size);
    const SequenceShape shape{integer("length", length), integer("burn_in", burn_in)};
    const std::optional<double> exponent = beta.is_none() ? std::nullopt : std::optional(real("beta", beta));
    BatchMemory memory;
    {
      const ReleasedGil release;
      memory = buffer_->sample_sequences(size, shape, exponent);
    }
    return BatchFields(layouts_, buffer_->sequence_schema(shape), BatchFields::Kind::kSequences).batch_on(memory);
  }

  py::array_t<std::int64_t> next_key(const py::object& key) {
    const auto keys = copied(integers("key", key));
    auto next = new_vector<std::int64_t>(static_cast<py::ssize_t>(keys.size()));
    const std::span<std::int64_t> out(next.mutable_data(), keys.size());
    const ReleasedGil release;  // nobody else has the array yet
    buffer_->next_keys(keys, out);
    return next;
  }

  py::array_t<std::int64_t> last_key() {
    auto last = new_vector<std::int64_t>(static_cast<py::ssize_t>(buffer_->num_envs()));
    const std::span<std::int64_t> out(last.mutable_data(), static_cast<std::size_t>(last.size()));
    const ReleasedGil release;  // nobody else has the array yet
    buffer_->last_keys(out);
    return last;
  }

  // [(env, first row, number of rows, whether it is open)]
  std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t, bool>> episodes() const {
    const ReleasedGil release;
    std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t, bool>> found;
    for (const EpisodeRows& rows : buffer_->episodes()) found.emplace_back(rows.env, rows.first, rows.count, rows.is_open);
    return found;
  }

  // (obs arrays [T + 1, ...], action [T, ...], reward, terminated, truncated, key, extras), or None when rows of it are gone; without
  // `with_obs` no obs arrays.
  py::object read_episode(std::int64_t env, std::int64_t first, std::int64_t count, bool with_obs) {
    const auto new_array = [](const ArrayLayout& layout, std::int64_t rows) {
      Shape shape = {static_cast<py::ssize_t>(rows)};
      shape.insert(shape.end(), layout.shape.begin(), layout.shape.end());
      return py::array(layout.dtype, shape);
    };
    const auto bytes_of = [](py::array& array) { return static_cast<std::byte*>(array.mutable_data()); };
    buffer_->check_episode({env, first, count, false});
    EpisodeView view{};
    py::list obs, extras;
    for (const ArrayLayout& layout : with_obs ? layouts_.obs : std::vector<ArrayLayout>()) {
      py::array array = new_array(layout, count + 1);
      view.obs.push_back(bytes_of(array));
      obs.append(array);
    }
    for (const ArrayLayout& layout : layouts_.extras) {
      py::array array = new_array(layout, count);
      view.extras.push_back(bytes_of(array));
      extras.append(array);
    }
    py::array action = new_array(layouts_.action, count);
    py::array_t<double> reward(count);
    py::array_t<bool> terminated(count), truncated(count);
    py::array_t<std::int64_t> key(count);
    view.action = bytes_of(action);
    view.reward = reward.mutable_data();
    view.terminated = terminated.mutable_data();
    view.truncated = truncated.mutable_data();
    view.key = key.mutable_data();
    bool is_there;
    {
      const ReleasedGil release;  // nobody else has the arrays yet
      is_there = buffer_->read_episode({env, first, count, false}, view);
    }
    if (!is_there) return py::none();
    return py::make_tuple(obs, action, reward, terminated, truncated, key, extras);
  }

  // (whether a batch was drawn, [(num_slots, slots [N], frames [N, frame_bytes]) for each observation]); the obs and next_obs of `out`
  // are int64 [B, k] and name slots of the mirrors.
  py::tuple sample_mirrored(std::optional<double> beta, const py::tuple& out, std::int64_t max_frames) {
    if (out.size() < 2) throw py::type_error("out: expected the fields of a batch");
    const auto size = static_cast<std::int64_t>(py::len(out[1]));
    if (size < 1) fail_value("out: expected a batch of at least 1 row, got none");
    if (max_frames < 1) fail_value("max_frames: expected at least 1, got ", max_frames);
    BatchView batch = mirror_fields_.view_of(out, size);
    batch.wants_mirror_slots = true;
    std::vector<NewFrames> new_frames;
    const bool is_drawn = [&] {
      const ReleasedGil release;
      return buffer_->sample_mirrored(beta, batch, max_frames, new_frames);
    }();
    py::list arrays;
    for (const NewFrames& fresh : new_frames) arrays.append(to_arrays(fresh));
    return py::make_tuple(is_drawn, arrays);
  }

  std::int64_t update_priorities(const py::object& key, const py::object& priorities) {
    const auto key_array = integers("key", key);
    const auto priority_array = reals("priorities", priorities);
    const ReleasedGil release;
    return buffer_->update_priorities(copied(key_array), copied(priority_array));
  }

  py::array_t<double> priorities(const py::object& key) const {
    const auto keys = copied(integers("key", key));
    auto priorities = new_vector<double>(static_cast<py::ssize_t>(keys.size()));
    const std::span<double> out(priorities.mutable_data(), keys.size());
    const ReleasedGil release;  // nobody else has the array yet
    buffer_->read_priorities(keys, out);
    return priorities;
  }

  // The snapshot as arrays of bytes, one after the other.
  py::list to_pieces(const std::string& meta) const {
    std::vector<std::vector<std::byte>> pieces = [&] {
      const ReleasedGil release;
      return buffer_->to_pieces(meta);
    }();
    py::list arrays;
    for (std::vector<std::byte>& piece : pieces) arrays.append(array_of(std::move(piece)));
    return arrays;
  }

  ReplayBuffer& buffer() { return *buffer_; }

  py::object check_valid() const {
    const std::string reason = [this] {
      const ReleasedGil release;
      return buffer_->why_invalid();
    }();
    return validity(reason);
  }

 private:
  static std::int64_t num_rows(std::int64_t num_steps, std::int64_t num_envs) {
    constexpr std::int64_t kMost = std::int64_t{1} << 62;
    if (num_steps < 0 || num_steps > kMost / std::max<std::int64_t>(num_envs, 1)) {
      fail_value("num_steps: expected as many as the arrays have, got ", num_steps);
    }
    return num_steps * num_envs;
  }

  static std::vector<const std::byte*> inputs(std::vector<ArrayField>& fields, const std::vector<py::object>& arrays, py::ssize_t rows) {
    if (arrays.size() != fields.size()) fail_value(fields.front().name(), ": expected ", fields.size(), " arrays, got ", arrays.size());
    std::vector<const std::byte*> data;
    for (std::size_t i = 0; i < arrays.size(); ++i) data.push_back(fields[i].data_in(arrays[i], rows));
    return data;
  }

  static py::tuple to_arrays(const NewFrames& fresh) {
    const auto count = static_cast<py::ssize_t>(fresh.slots.size());
    const auto bytes = static_cast<py::ssize_t>(fresh.frames.size());
    py::array_t<std::int64_t> slots(count, fresh.slots.data());
    py::array_t<std::uint8_t> frames(bytes, reinterpret_cast<const std::uint8_t*>(fresh.frames.data()));
    return py::make_tuple(fresh.num_slots, slots, frames);
  }

  static Layouts to_mirror_layouts(const Layouts& layouts, const std::vector<ObsLayout>& obs) {
    Layouts slots = layouts;
    slots.obs.clear();
    for (const ObsLayout& one : obs) slots.obs.push_back({py::dtype::of<std::int64_t>(), {static_cast<py::ssize_t>(one.stack)}});
    return slots;
  }

  std::vector<ArrayField> obs_, next_obs_, extras_;
  ArrayField action_, reward_, terminated_, truncated_, priority_{"priority", Layouts::scalar<double>()};
  Layouts layouts_;
  BatchFields fields_, mirror_fields_;
  ExactLayouts exact_;
  std::unique_ptr<ReplayBuffer> buffer_;
};

}  // namespace mujigae::bindings
