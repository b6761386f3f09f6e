"""Epsilon-greedy exploration: a random action with probability epsilon, else the greedy one (Mnih et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["EpsilonGreedy", "explore"]


class EpsilonGreedy:
    """Epsilon as a function of the step, one or [E]; `scalars` has the one that was used last, or their mean."""

    def __init__(self, num_actions: int, epsilon_at: Callable[[int], float | NDArray[np.float64]]) -> None:
        self.epsilon_at = epsilon_at
        self._num_actions = num_actions
        self._epsilon = epsilon_at(0)

    def act(
        self,
        greedy: NDArray[np.int64],
        step: int,
        rng: np.random.Generator,
        legal: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        """The actions to take instead of `greedy` [E], both counted from 0; of those that are `legal` [E, A]."""
        self._epsilon = self.epsilon_at(step)
        return explore(greedy, self._epsilon, self._num_actions, rng, legal)

    def scalars(self) -> dict[str, float | None]:
        return {"epsilon": float(np.mean(self._epsilon))}


def explore(
    greedy: NDArray[np.int64],
    epsilon: float | NDArray[np.float64],
    num_actions: int,
    rng: np.random.Generator,
    legal: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Each of `greedy` [E] replaced, with probability epsilon, by a uniformly random action.

    epsilon: one, or [E]. legal: [E, A], at least one action of each row; None: all are.
    """
    if np.max(epsilon) == 0:
        return greedy
    is_random = rng.random(len(greedy)) < epsilon
    if legal is None:
        drawn = rng.integers(num_actions, size=len(greedy))
    else:
        drawn = np.where(legal, rng.random(legal.shape), -1.0).argmax(axis=1)
    return np.where(is_random, drawn, greedy)
