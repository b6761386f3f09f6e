"""What NumPy alone offers for draws in proportion to priorities: their running sum, made anew for each batch, and a binary search."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.core.subject import Subject


class SpeedSubject(Subject):
    """`np.cumsum` and `np.searchsorted`."""

    name = "NumPy cumsum"
    version = np.__version__

    def tree(self, values: Any) -> Any:
        return Tree(values)


class Tree:
    """An array of leaves; an update is an assignment, and too cheap to be compared."""

    def __init__(self, values: Any) -> None:
        self.values = values.copy()
        self.rng = np.random.default_rng(0)

    def draw(self, batch_size: int) -> Any:
        sums = np.cumsum(self.values)
        return np.searchsorted(sums, self.rng.random(batch_size) * sums[-1], side="right")

    def update(self, indices: Any, values: Any) -> None:
        self.values[indices] = values

    def total(self) -> float:
        return float(self.values.sum())
