#include "buffer_arguments.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "gil.hpp"

namespace mujigae::bindings {
namespace {

// A copy of the tree, which nobody else can change. Each observation, 0 ... num_obs - 1, is a leaf of it once.
py::object checked_tree(const py::handle& tree, std::vector<bool>& is_leaf, int depth = 0) {
  constexpr int kMaxDepth = 500;
  if (depth > kMaxDepth) fail_value("tree: expected a depth of at most ", kMaxDepth, ", got more");
  if (PyLong_Check(tree.ptr())) {
    const std::int64_t leaf = integer("tree", tree);
    const bool is_known = leaf >= 0 && leaf < std::ssize(is_leaf) && !is_leaf[static_cast<std::size_t>(leaf)];
    if (!is_known) fail_value("tree: expected each observation once, got ", leaf, " of ", is_leaf.size());
    is_leaf[static_cast<std::size_t>(leaf)] = true;
    return py::int_(leaf);
  }
  if (PyDict_Check(tree.ptr())) {
    py::dict copy;
    for (const auto& [name, child] : py::reinterpret_borrow<py::dict>(tree)) copy[name] = checked_tree(child, is_leaf, depth + 1);
    return copy;
  }
  if (!PyTuple_Check(tree.ptr())) throw py::type_error("tree: expected an integer, a dict or a tuple");
  py::tuple copy(py::len(tree));
  for (std::size_t i = 0; i < copy.size(); ++i) copy[i] = checked_tree(py::reinterpret_borrow<py::tuple>(tree)[i], is_leaf, depth + 1);
  return copy;
}

std::int64_t checked_stack(const ArrayLayout& obs, std::int64_t stack) {
  const bool is_divisor = stack == 1 || (stack > 1 && !obs.shape.empty() && obs.shape[0] % stack == 0);
  if (!is_divisor) fail_value("stacks: expected a divisor of the first extent of ", describe(obs.shape), ", got ", stack);
  return stack;
}

}  // namespace

Layouts to_layouts(const py::list& obs, const py::object& tree, const py::tuple& action, const py::list& extras) {
  Layouts layouts{{}, to_layout("action", action), {}, {}, {}};
  for (const py::handle one : obs) layouts.obs.push_back(to_layout("obs", one));
  if (layouts.obs.empty()) fail_value("obs: expected at least one observation, got none");
  std::vector<bool> is_leaf(layouts.obs.size());
  layouts.tree = checked_tree(tree, is_leaf);
  if (std::count(is_leaf.begin(), is_leaf.end(), true) != std::ssize(is_leaf))
    fail_value("tree: expected each of ", is_leaf.size(), " observations");
  for (const py::handle one : extras) {
    const auto [name, dtype_and_shape] = one.cast<std::pair<std::string, py::tuple>>();
    layouts.extra_names.push_back(name);
    layouts.extras.push_back(to_layout("extras", dtype_and_shape));
  }
  return layouts;
}

BufferSettings to_settings(std::int64_t capacity, std::int64_t num_envs, std::int64_t n_step, double gamma, const Layouts& layouts,
                           const std::vector<std::int64_t>& stacks, bool validate, const py::object& seed, bool compress,
                           std::int64_t prefetch) {
  BufferSettings settings{capacity, num_envs,         n_step,   gamma,    {}, layouts.action.bytes(),
                          validate, philox_key(seed), compress, prefetch, {}};
  for (const ArrayLayout& extra : layouts.extras) settings.extra_bytes.push_back(extra.bytes());
  if (stacks.size() != layouts.obs.size()) fail_value("stacks: expected ", layouts.obs.size(), " of them, got ", stacks.size());
  for (std::size_t i = 0; i < layouts.obs.size(); ++i)
    settings.obs.push_back(layouts.obs[i].frames(checked_stack(layouts.obs[i], stacks[i])));
  return settings;
}

std::unique_ptr<MappedFile> to_file(const py::object& file) {
  if (file.is_none()) return nullptr;
  const auto [path, meta, opening] = file.cast<std::tuple<std::string, std::string, std::string>>();
  if (opening != "new" && opening != "old" && opening != "copy") fail_value("file: expected new, old or copy, got ", opening);
  const ReleasedGil release;
  if (opening == "new") return MappedFile::create(path, meta);
  return MappedFile::open(path, meta, opening == "copy" ? MappedFile::Changes::kCopy : MappedFile::Changes::kKept);
}

}  // namespace mujigae::bindings
