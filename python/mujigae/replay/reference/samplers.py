"""The samplers of the reference buffers: each sees every row that can be drawn, and sorts or sums all of them at every draw."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from mujigae import _core
from mujigae.replay.reference.parts import MAX_VALUE, MIN_VALUE, Philox, SumTree

__all__ = ["SAMPLERS", "Drawn", "Ready", "Sampler"]


class Ready(NamedTuple):
    """A row that can be drawn."""

    slot: int
    priority: float


class Drawn(NamedTuple):
    """P(i) = masses[i] / total of the rows at these positions."""

    positions: list[int]
    masses: list[float]
    total: float


class Sampler(Protocol):
    """What a reference buffer needs of a sampler."""

    alpha: float
    beta: float

    def check_can_draw(self, ready: list[Ready], batch_size: int) -> None: ...
    def draw(self, ready: list[Ready], random: Philox, batch_size: int) -> list[int]:
        """Positions in `ready`."""
        ...

    def masses(self, ready: list[Ready]) -> tuple[list[float], float]:
        """Of every row, and the total that they are shares of."""
        ...

    def check_priority(self, argument: str, priority: float) -> None: ...


def scaled(word: int, count: int) -> int:
    """A position below `count` from a word of 64 random bits."""
    return word * count >> 64


def unit_interval(word: int) -> float:
    """The top 53 bits as a double in [0, 1)."""
    return (word >> 11) * 2.0**-53


def position_of(ready: list[Ready], slot: int) -> int:
    return [row.slot for row in ready].index(int(slot))


def take(undrawn: list[int], index: int) -> int:
    """The position at this index, which is replaced by the last one: a Fisher-Yates shuffle."""
    position, undrawn[index] = undrawn[index], undrawn[-1]
    undrawn.pop()
    return position


def check_are_enough(num_rows: int, batch_size: int) -> None:
    if batch_size > num_rows:
        raise ValueError(
            f"batch_size: expected at most {num_rows}, as many rows can be drawn without replacement, got {batch_size}"
        )


class Uniform:
    """Every row alike."""

    alpha = beta = 0.0

    def __init__(self, replacement: bool) -> None:
        self._replacement = replacement

    def check_can_draw(self, ready: list[Ready], batch_size: int) -> None:
        if not self._replacement:
            check_are_enough(len(ready), batch_size)

    def draw(self, ready: list[Ready], random: Philox, batch_size: int) -> list[int]:
        words = random.words(batch_size)
        if self._replacement:
            return [scaled(word, len(ready)) for word in words]
        undrawn = list(range(len(ready)))
        return [take(undrawn, scaled(word, len(undrawn))) for word in words]

    def masses(self, ready: list[Ready]) -> tuple[list[float], float]:
        return [1.0] * len(ready), float(len(ready))

    def check_priority(self, argument: str, priority: float) -> None:
        """Any: there are none."""


class Proportional:
    """In proportion to (priority + eps)^alpha, but for a share of draws that are uniform."""

    def __init__(
        self, alpha: float, beta: float, eps: float, stratified: bool, uniform_share: float, replacement: bool
    ) -> None:
        if not 0.0 <= uniform_share <= 1.0:
            raise ValueError(f"uniform_share: expected 0 to 1, got {uniform_share}")
        self.alpha, self.beta, self._eps, self._stratified = alpha, beta, eps, stratified
        self._uniform_share, self._replacement = uniform_share, replacement

    def check_can_draw(self, ready: list[Ready], batch_size: int) -> None:
        num_positive = sum(self._leaf(row.priority) > 0.0 for row in ready)
        if self._uniform_share == 0.0 and num_positive == 0:
            raise ValueError("sample: every leaf is zero, nothing can be drawn")
        if not self._replacement:
            check_are_enough(num_positive if self._uniform_share == 0.0 else len(ready), batch_size)

    def draw(self, ready: list[Ready], random: Philox, batch_size: int) -> list[int]:
        tree = self._tree(ready)
        tree._random = random
        is_uniform = [False] * batch_size
        if self._uniform_share > 0.0:
            share = self._uniform_share if tree.total > 0.0 else 1.0
            is_uniform = [unit_interval(word) < share for word in random.words(batch_size)]
        if not self._replacement:
            return self._draw_distinct(ready, tree, is_uniform, random.words(batch_size))
        uniform = [scaled(word, len(ready)) for word in random.words(sum(is_uniform))]
        num_others = batch_size - len(uniform)
        slots = tree.sample(num_others, self._stratified) if num_others > 0 else []
        others = [position_of(ready, slot) for slot in slots]
        return [(uniform if one else others).pop(0) for one in is_uniform]

    def _draw_distinct(
        self, ready: list[Ready], tree: SumTree, is_uniform: list[bool], words: list[int]
    ) -> list[int]:
        undrawn = list(range(len(ready)))
        drawn = []
        for one, word in zip(is_uniform, words, strict=True):
            if one or tree.total == 0.0:
                index = scaled(word, len(undrawn))
            else:
                (slot,) = tree.find([unit_interval(word) * tree.total])
                index = undrawn.index(position_of(ready, slot))
            drawn.append(take(undrawn, index))
            tree.update([ready[drawn[-1]].slot], [0.0])
        return drawn

    def masses(self, ready: list[Ready]) -> tuple[list[float], float]:
        leaves, total = [self._leaf(row.priority) for row in ready], self._tree(ready).total
        if self._uniform_share == 0.0:
            return leaves, total
        uniform = 1.0 / len(ready)
        shares = [leaf / total if total > 0.0 else uniform for leaf in leaves]
        return [(1.0 - self._uniform_share) * share + self._uniform_share * uniform for share in shares], 1.0

    def check_priority(self, argument: str, priority: float) -> None:
        if not (math.isfinite(priority) and priority >= 0.0 and self._leaf(priority) <= MAX_VALUE):
            raise ValueError(f"{argument}: expected a finite number of at least 0, got {priority}")

    def _tree(self, ready: list[Ready]) -> Any:
        tree = SumTree(1 + max(row.slot for row in ready))
        tree.update([row.slot for row in ready], [self._leaf(row.priority) for row in ready])
        return tree

    def _leaf(self, priority: float) -> float:
        value = float(_core.power(priority + self._eps, self.alpha))
        return 0.0 if value == 0.0 and priority + self._eps == 0.0 else max(value, MIN_VALUE)


class RankBased:
    """By rank^-alpha, rank 1 being the largest priority, the i-th row of a batch from the i-th slice of the total."""

    def __init__(self, alpha: float, beta: float) -> None:
        self.alpha, self.beta = alpha, beta

    def check_can_draw(self, ready: list[Ready], batch_size: int) -> None:
        """There is something to draw, which the buffer has checked."""

    def draw(self, ready: list[Ready], random: Philox, batch_size: int) -> list[int]:
        sums = np.cumsum(self._powers(len(ready)))
        units = np.array([unit_interval(word) for word in random.words(batch_size)])
        targets = (np.arange(batch_size) + units) * (sums[-1] / batch_size)
        by_rank = self._by_rank(ready)
        return [by_rank[rank] for rank in np.searchsorted(sums[:-1], targets, "right")]

    def masses(self, ready: list[Ready]) -> tuple[list[float], float]:
        powers = self._powers(len(ready))
        masses = np.empty(len(ready))
        masses[self._by_rank(ready)] = powers
        return masses.tolist(), float(np.cumsum(powers)[-1])

    def check_priority(self, argument: str, priority: float) -> None:
        if not (math.isfinite(priority) and priority >= 0.0):
            raise ValueError(f"{argument}: expected a finite number of at least 0, got {priority}")

    def _powers(self, count: int) -> Any:
        return np.maximum(_core.power(np.arange(1.0, count + 1), -self.alpha), MIN_VALUE)

    def _by_rank(self, ready: list[Ready]) -> list[int]:
        return sorted(range(len(ready)), key=lambda i: (-ready[i].priority, ready[i].slot))


def weights(masses: list[float], beta: float) -> Any:
    """(min_j mass_j / mass_i)^beta, float32; 1 for a row without mass, which is gathered and never drawn."""
    drawable = [mass for mass in masses if mass > 0.0]
    ratios = [min(drawable) / mass if mass > 0.0 else 1.0 for mass in masses]
    return _core.power(ratios, beta).astype(np.float32)


SAMPLERS: dict[str, Any] = {"uniform": Uniform, "proportional": Proportional, "rank_based": RankBased}
