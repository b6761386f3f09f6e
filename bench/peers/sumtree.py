"""sumtree 0.3.0, a binary tree in Rust."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import sumtree

from bench.core.subject import Subject


class SpeedSubject(Subject):
    """`SumTree.sample` and `update_batched`."""

    name = "sumtree (Rust)"
    version = metadata.version("sumtree")
    packages = ("sumtree", "numpy")

    def tree(self, values: Any) -> Any:
        return Tree(values)


class Tree:
    """Filled leaf by leaf, as it wants it."""

    def __init__(self, values: Any) -> None:
        self.tree = sumtree.SumTree(len(values))
        for value in values.tolist():
            self.tree.add(value)

    def draw(self, batch_size: int) -> Any:
        return self.tree.sample(batch_size)[0]

    def update(self, indices: Any, values: Any) -> None:
        self.tree.update_batched(indices, values)

    def total(self) -> float:
        return float(self.tree.total)
