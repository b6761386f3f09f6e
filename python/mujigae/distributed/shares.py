"""Several shards as one buffer: which of them the next rows come from, and what their importance weights are.

P(i) = (leaf of i) / (leaves of all shards): the chance of its shard, times that within its shard. Weights (N P(i))^-beta are
scaled by the largest of a batch; where a batch comes from one shard alone, by the largest of the newest batches of all
shards, as rows of all of them would be in a batch of one buffer. N cancels (Schaul et al. 2016, section 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mujigae import _core
from mujigae.distributed.shard import Share

__all__ = ["Shares", "weights_of"]


class Shares:
    """The newest that is known of each of `num_shards` shards."""

    def __init__(self, num_shards: int) -> None:
        self.known: list[Share] = [Share(0, 0.0)] * num_shards
        self._smallest = np.full(num_shards, np.inf)  # chances in the newest batch of each

    @property
    def num_rows(self) -> int:
        """Rows that can be drawn, over all shards."""
        return sum(share.num_rows for share in self.known)

    def chances(self) -> NDArray[np.float64]:
        """[num_shards], of sum 1: by what they hold; all alike where nothing is known."""
        totals = np.array([share.total for share in self.known])
        whole = totals.sum()
        return totals / whole if whole > 0 else np.full(len(totals), 1 / len(totals))

    def choose(self, rng: np.random.Generator) -> int:
        """The shard of the next batch."""
        return int(rng.choice(len(self.known), p=self.chances()))

    def probability(self, shard: int, within: NDArray[np.float64]) -> NDArray[np.float64]:
        """[B]: P(i) over all shards, from that within its own."""
        chance: NDArray[np.float64] = within * self.chances()[shard]
        return chance

    def weights(self, shard: int, within: NDArray[np.float64], beta: float) -> NDArray[np.float32]:
        """[B], of a batch that comes from `shard` alone."""
        probability = self.probability(shard, within)
        self._smallest[shard] = probability.min()
        return weights_of(probability, beta, float(self._smallest.min()))


def weights_of(probability: Any, beta: float, smallest: float | None = None) -> NDArray[np.float32]:
    """(P(i) / smallest)^-beta, [B], at most 1, as the engine works it out; `smallest`: None for that of the batch."""
    smallest = float(np.min(probability)) if smallest is None else smallest
    powers = _core.power(np.minimum(smallest / np.asarray(probability), 1.0), beta)
    return powers.astype(np.float32)


def split(
    num_rows: int, chances: Sequence[float] | NDArray[np.float64], rng: np.random.Generator
) -> list[int]:
    """How many of so many rows come from each shard, each row's shard drawn by itself."""
    return [int(count) for count in rng.multinomial(num_rows, chances)]
