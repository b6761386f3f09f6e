"""SumTree: exact sums, exact draws, and nothing changed by an error."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mujigae
from mujigae.replay import reference

CAPACITIES = [1, 2, 3, 5, 7, 15, 16, 17, 255, 256, 257, 1000, 4097]


def filled(impl: ModuleType, values: Any, seed: int = 0) -> Any:
    tree = impl.SumTree(len(values), seed)
    tree.update(np.arange(len(values)), values)
    return tree


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_find_is_the_first_index_whose_cumulative_sum_exceeds_the_target(
    impl: ModuleType, capacity: int
) -> None:
    values = np.random.default_rng(capacity).integers(0, 4, capacity).astype(float)
    values[-1] = 1.0
    cumulative = np.cumsum(values)  # small integers: every sum is exact
    targets = np.arange(int(cumulative[-1])) + 0.5
    found = filled(impl, values).find(targets)
    assert np.array_equal(found, np.searchsorted(cumulative, targets, side="right"))


def test_targets_on_a_boundary_belong_to_the_next_positive_leaf(impl: ModuleType) -> None:
    tree = filled(impl, [0.0, 1.0, 0.0, 2.0, 0.0])
    assert tree.find([0.0, 1.0, np.nextafter(1.0, 0.0)]).tolist() == [1, 3, 1]


def test_targets_at_and_beyond_the_total_find_the_last_positive_leaf(impl: ModuleType) -> None:
    tree = filled(impl, [1.0, 2.0, 1e-30, 0.0])  # leaf 2 vanishes in the sum, yet it is positive
    assert tree.find([3.0, np.nextafter(3.0, 4.0), 1e300, np.inf]).tolist() == [2, 2, 2, 2]


def test_of_duplicate_indices_the_last_wins(impl: ModuleType) -> None:
    tree = filled(impl, np.ones(20))
    tree.update([3, 3, 5, 3], [1.0, 5.0, 2.0, 7.0])
    assert (tree[3], tree[5], tree.total) == (7.0, 2.0, 18.0 + 7.0 + 2.0)


def test_zero_leaves_are_never_drawn(impl: ModuleType) -> None:
    values = np.zeros(300)
    values[[0, 17, 255, 299]] = [2.0**-900, 3.0, 1.0, 2.0]
    tree = filled(impl, values)
    drawn = set(tree.sample(500).tolist()) | set(tree.sample(500, stratified=True).tolist())
    assert drawn == {17, 255, 299}


def test_every_leaf_is_reachable_beside_an_outlier() -> None:
    values = np.ones(4096)
    values[0] = 1e8
    tree = filled(mujigae, values)
    assert np.array_equal(tree.find(1e8 + np.arange(4095) + 0.5), np.arange(1, 4096))


def test_tree_is_a_function_of_its_leaves_after_many_updates() -> None:
    rng = np.random.default_rng(0)
    capacity = 5000
    tree, leaves = mujigae.SumTree(capacity), np.zeros(capacity)
    for _ in range(400):
        indices = rng.integers(0, capacity, 250)
        values = rng.lognormal(0.0, 4.0, 250) * (rng.random(250) > 0.1)
        tree.update(indices, values)
        leaves[indices] = values
    assert tree.check_valid()
    fresh = filled(mujigae, leaves)
    assert tree.total == fresh.total
    assert tree.total == pytest.approx(math.fsum(leaves), rel=1e-12)
    assert tree.min == leaves[leaves > 0].min()


def test_draws_are_proportional_to_the_leaves() -> None:
    values = np.array([5.0, 0.0, 1.0, 3.0, 0.5, 0.0, 0.5])
    counts = np.bincount(filled(mujigae, values, seed=3).sample(100_000), minlength=7)
    expected = 100_000 * values / values.sum()
    chi_square = np.sum((counts - expected)[values > 0] ** 2 / expected[values > 0])
    assert chi_square < 18.47  # 4 degrees of freedom, p = 0.001
    assert counts[1] == counts[5] == 0


def test_stratified_draws_come_one_from_each_slice(impl: ModuleType) -> None:
    drawn = filled(impl, np.ones(64)).sample(64, stratified=True)
    assert drawn.tolist() == list(range(64))


def test_same_seed_gives_the_same_draws_untouched_by_global_state(impl: ModuleType) -> None:
    one, two = filled(impl, np.arange(1.0, 100.0), seed=7), filled(impl, np.arange(1.0, 100.0), seed=7)
    first = one.sample(33)
    np.random.seed(0)
    assert np.array_equal(first, two.sample(33))
    assert not np.array_equal(first, one.sample(33))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_compiled_tree_equals_the_reference_bit_for_bit(data: st.DataObject) -> None:
    capacity = data.draw(st.integers(1, 300))
    seed = data.draw(st.integers(0, 2**32))
    trees = [mujigae.SumTree(capacity, seed), reference.SumTree(capacity, seed)]
    value = st.one_of(st.just(0.0), st.floats(2.0**-900, 1e200), st.floats(1e-3, 10.0))
    for _ in range(data.draw(st.integers(1, 4))):
        count = data.draw(st.integers(1, 40))
        indices = data.draw(st.lists(st.integers(0, capacity - 1), min_size=count, max_size=count))
        values = data.draw(st.lists(value, min_size=count, max_size=count))
        for tree in trees:
            tree.update(indices, values)
        compiled, twin = trees
        assert compiled.check_valid()
        assert compiled.total == twin.total
        assert compiled.min == twin.min
        if twin.total > 0.0:
            targets = np.array(data.draw(st.lists(st.floats(0.0, 1.1), max_size=10))) * twin.total
            assert np.array_equal(compiled.find(targets), twin.find(targets))
            for is_stratified in (False, True):
                assert np.array_equal(compiled.sample(9, is_stratified), twin.sample(9, is_stratified))


@pytest.mark.parametrize(
    ("indices", "values", "error"),
    [
        ([0, 9], [1.0, 1.0], IndexError),
        ([0, -1], [1.0, 1.0], IndexError),
        ([0, 1], [1.0, -1.0], ValueError),
        ([0, 1], [1.0, math.nan], ValueError),
        ([0, 1], [1.0, math.inf], ValueError),
        ([0, 1], [1.0, 1e300], ValueError),
        ([0, 1], [1.0], ValueError),
    ],
)
def test_bad_updates_name_the_index_and_change_nothing(
    impl: ModuleType, indices: Any, values: Any, error: type[Exception]
) -> None:
    tree = filled(impl, [1.0, 2.0, 3.0])
    with pytest.raises(error, match=r"(indices|values)(\[1\])?: expected"):
        tree.update(indices, values)
    assert [tree[i] for i in range(3)] == [1.0, 2.0, 3.0]
    assert tree.check_valid()


def test_wrong_kinds_are_type_errors() -> None:
    tree = filled(mujigae, [1.0, 2.0])
    with pytest.raises(TypeError, match="indices: expected integers, got dtype float64"):
        tree.update([0.5], [1.0])
    with pytest.raises(TypeError, match="values: expected real numbers"):
        tree.update([0], [1j])
    with pytest.raises(ValueError, match="indices: expected 1 dimension"):
        tree.update([[0]], [1.0])


def test_an_empty_tree_refuses_to_sample(impl: ModuleType) -> None:
    tree = impl.SumTree(8)
    with pytest.raises(ValueError, match="every leaf is zero"):
        tree.sample(4)
    with pytest.raises(ValueError, match="every leaf is zero"):
        tree.find([0.0])
    assert tree.min == math.inf


def test_batches_of_zero_and_bad_targets_are_refused(impl: ModuleType) -> None:
    tree = filled(impl, [1.0, 2.0])
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        tree.sample(0)
    for target in (-1e-9, math.nan):
        with pytest.raises(ValueError, match=r"targets\[1\]: expected"):
            tree.find([0.0, target])


def test_capacity_must_be_positive(impl: ModuleType) -> None:
    with pytest.raises(ValueError, match="capacity: expected 1 to 2\\^40, got 0"):
        impl.SumTree(0)


def test_every_leaf_is_found_with_its_share_to_within_2_to_the_minus_50() -> None:
    """Sums that round the same way at every addition are the worst case; shares are measured by bisection."""
    base = np.array([1.0] + [2.0**-53] * 15)
    two_levels = np.repeat(base, 16) * np.tile(base, 16)
    for values in (base, two_levels, np.random.default_rng(0).lognormal(0.0, 8.0, 600)):
        tree = filled(mujigae, values)
        total = math.fsum(values)
        for index in {0, 1, len(values) // 2, int(np.argmax(values))}:
            share = first_target_beyond(tree, index) - first_target_beyond(tree, index - 1)
            assert abs(share / tree.total - values[index] / total) <= 2.0**-50


@pytest.mark.parametrize("capacity", [17, 300, 5000])
def test_rounding_leads_the_compiled_tree_where_it_leads_the_reference(capacity: int) -> None:
    """Leaves that vanish beside their neighbours, zeros in between, and targets at every boundary of their sums."""
    rng = np.random.default_rng(capacity)
    values = np.where(rng.random(capacity) < 0.1, 1.0, 2.0 ** -rng.integers(50, 56, capacity))
    values[rng.random(capacity) < 0.3] = 0.0
    values[0], values[-7:] = 1.0, 0.0
    boundaries = np.unique(np.cumsum(values))
    targets = np.concatenate([boundaries, np.nextafter(boundaries, 0.0), np.nextafter(boundaries, np.inf)])
    compiled, twin = filled(mujigae, values), filled(reference, values)
    found = compiled.find(targets)
    assert np.array_equal(found, twin.find(targets))
    assert np.all(values[found] > 0.0)


def first_target_beyond(tree: Any, index: int) -> float:
    """The smallest target that finds a leaf after `index`: the cumulative share that the tree gives up to it."""
    low, high = 0.0, tree.total
    if index < 0:
        return 0.0
    while (middle := (low + high) / 2) not in (low, high):
        is_beyond = tree.find([middle])[0] > index
        low, high = (low, middle) if is_beyond else (middle, high)
    return high
