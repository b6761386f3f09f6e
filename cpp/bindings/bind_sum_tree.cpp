#include <algorithm>
#include <mutex>
#include <span>

#include "arrays.hpp"
#include "locking.hpp"
#include "module.hpp"
#include "mujigae/fork_safe_mutex.hpp"
#include "mujigae/storage/available_memory.hpp"
#include "mujigae/sampling/sum_tree.hpp"

namespace mujigae::bindings {
namespace {

// The tree with a generator of its own, behind one mutex: see locking.hpp.
class LockedSumTree {
 public:
  LockedSumTree(const py::object& capacity, const py::object& seed)
      : tree_(checked(integer("capacity", capacity))), random_(philox_key(seed)) {}

  void update(const py::object& indices, const py::object& values) {
    const auto index_array = integers("indices", indices);
    const auto value_array = reals("values", values);
    with_lock(mutex_, is_small(index_array.size()), [&] { tree_.update(copied(index_array), copied(value_array)); });
  }

  py::array_t<std::int64_t> sample(const py::object& batch_size, bool stratified) {
    auto out = new_vector<std::int64_t>(batch_size_of(batch_size));
    const std::span<std::int64_t> slots(out.mutable_data(), static_cast<std::size_t>(out.size()));
    with_lock(mutex_, is_small(out.size()), [&] { tree_.sample(random_, stratified, slots); });
    return out;
  }

  py::array_t<std::int64_t> find(const py::object& targets) const {
    const auto target_array = reals("targets", targets);
    auto out = new_vector<std::int64_t>(target_array.size());
    const std::span<std::int64_t> slots(out.mutable_data(), static_cast<std::size_t>(out.size()));
    with_lock(mutex_, is_small(out.size()), [&] { tree_.find(copied(target_array), slots); });
    return out;
  }

  double total() const {
    return with_lock(mutex_, true, [&] { return tree_.total(); });
  }

  double min() const {
    return with_lock(mutex_, false, [&] { return tree_.min_positive(); });
  }

  double at(std::int64_t index) const {
    if (index < 0 || index >= tree_.capacity()) {
      fail_index("index: expected 0 <= index < ", tree_.capacity(), ", got ", index);
    }
    return with_lock(mutex_, true, [&] { return tree_[index]; });
  }

  py::array_t<double> at_many(const py::object& indices) const {
    const auto index_array = integers("index", indices);
    auto out = new_vector<double>(index_array.size());
    for (py::ssize_t i = 0; i < index_array.size(); ++i) out.mutable_data()[i] = at(index_array.data()[i]);
    return out;
  }

  std::int64_t capacity() const { return tree_.capacity(); }

  std::int64_t nbytes() const { return tree_.nbytes(); }

  py::object check_valid() const {
    return validity(with_lock(mutex_, false, [&] { return tree_.why_invalid(); }));
  }

 private:
  static std::int64_t checked(std::int64_t capacity) {
    constexpr std::int64_t kLeafBytes = 10;  // and its share of the nodes
    if (capacity <= SumTree::kMaxCapacity) check_memory("capacity", std::max<std::int64_t>(capacity, 0) * kLeafBytes);
    return capacity;
  }

  static bool is_small(py::ssize_t batch_size) { return batch_size <= 64; }

  SumTree tree_;
  Philox random_;
  mutable ForkSafeMutex mutex_;
};

}  // namespace

void bind_sum_tree(py::module_& m) {
  py::class_<LockedSumTree>(m, "SumTree", R"(Draws indices in proportion to non-negative values; O(log16 capacity).

Leaves and sums are float64 and every sum is recomputed from its children, so the tree is a function of its leaves
whatever the order of the updates. A leaf of zero is never drawn. Random numbers are Philox4x64-10 (as NumPy's).
Any thread may call anything.

Args:
    capacity: number of leaves, all zero at first.
    seed: int, numpy SeedSequence, or None for a seed from the operating system.

Raises ValueError for a capacity below 1, or beyond the memory available.)")
      .def(py::init<py::object, py::object>(), py::arg("capacity"), py::arg("seed") = py::none())
      .def("update", &LockedSumTree::update, py::arg("indices"), py::arg("values"),
           R"(Sets leaf[indices[i]] = values[i]; of duplicates the last wins. indices: [B] integers; values: [B] real: 0,
or 2^-900 to 2^900.

Raises IndexError, ValueError or TypeError, and changes nothing, when any of them is out of range.)")
      .def("sample", &LockedSumTree::sample, py::arg("batch_size"), py::arg("stratified") = false,
           R"(Draws [batch_size] int64 indices with P(i) = leaf[i] / total, with replacement. stratified: the i-th index comes from
the i-th of batch_size equal slices of the total. Raises ValueError when the total is zero.)")
      .def("find", &LockedSumTree::find, py::arg("targets"),
           R"(The smallest index i with target < leaf[0] + ... + leaf[i], for each of [B] targets; the last positive leaf for a
target at or beyond the total. Raises ValueError for a negative target or NaN, and when the total is zero.)")
      .def_property_readonly("total", &LockedSumTree::total, "The sum of all leaves.")
      .def_property_readonly("min", &LockedSumTree::min, "The smallest positive leaf, infinity if there is none; O(capacity).")
      .def_property_readonly("nbytes", &LockedSumTree::nbytes, "Bytes of memory in use.")
      .def("__getitem__", &LockedSumTree::at, py::arg("index"))
      .def("__getitem__", &LockedSumTree::at_many, py::arg("index"))
      .def("__len__", &LockedSumTree::capacity)
      .def("check_valid", &LockedSumTree::check_valid,
           "Recomputes every sum: (ok, reason), true when each node is the sum of its children.");
}

}  // namespace mujigae::bindings
