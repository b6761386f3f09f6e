"""Sum trees on their own, where a library lends its own out."""

from __future__ import annotations

from typing import Any

import numpy as np

from mujigae.conformance.adapter import Tree
from mujigae.conformance.case import Subject, case
from mujigae.conformance.ledger import require

SIZES = (1, 2, 3, 5, 7, 1000, 1023, 1024, 1025)


def _tree(subject: Subject, values: Any) -> Tree:
    tree = subject.adapter.tree(len(values))
    tree.update(np.arange(len(values)), np.asarray(values, np.float64))
    return tree


def _found(tree: Tree, targets: Any) -> list[int]:
    return [int(leaf) for leaf in np.atleast_1d(tree.find(np.asarray(targets, np.float64)))]


@case("T1", "ray-project/ray#54284; Kaixhin/Rainbow#76; JuliaReinforcementLearning#59")
def target_equal_to_the_total_finds_a_positive_leaf(subject: Subject) -> None:
    """Rounding makes a drawn target equal to the total, or larger, once in a long while.
    Then it is the last positive leaf (or a refusal), and for 0 the first: never a leaf of 0 or out of range."""
    values = [0.0, 0.1, 0.2, 0.7, 0.0, 0.0, 0.0, 0.0]
    tree = _tree(subject, values)
    require(_found(tree, [0.0]) == [1], f"expected 0.0 to find leaf 1, got {_found(tree, [0.0])}")
    for target in (tree.total, float(np.nextafter(tree.total, np.inf))):
        try:
            found = _found(tree, [target])
        except Exception:
            continue
        require(found == [3], f"expected the total {tree.total!r} to find leaf 3, got {found}")


@case("T2", "vwxyzjn/cleanrl#546")
def prefix_order_is_index_order_for_every_capacity(subject: Subject) -> None:
    """In a heap whose size is no power of two, leaves lie on two levels, and a plain descent meets them out of order.
    Equal slices of the total are then no contiguous rows."""
    for size in SIZES:
        found = _found(_tree(subject, np.ones(size)), np.arange(size) + 0.5)
        require(found == list(range(size)), f"expected leaves 0, 1, 2 ... of {size}, got {found[:8]} ...")


@case("B15", "dopamine-rl 4.1.2; instadeepai/flashbax#52")
def sums_are_those_of_the_leaves_after_any_updates(subject: Subject) -> None:
    """A total that is changed by differences drifts away from its leaves, below zero in the end.
    After 3,000 batches of mixed magnitudes all leaves become 0, and the total is 0."""
    size = 256
    tree = subject.adapter.tree(size)
    random = np.random.default_rng(0)
    for _ in range(3000):
        tree.update(random.permutation(size)[:32], 10.0 ** random.uniform(-6, 6, 32))
    tree.update(np.arange(size), np.zeros(size))
    require(tree.total == 0.0, f"expected a total of 0, got {tree.total!r}")
