"""What is added to a continuous action to explore: the contract, and the kinds by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mujigae.exploration.gaussian import GaussianNoise
from mujigae.exploration.ornstein_uhlenbeck import OrnsteinUhlenbeckNoise

__all__ = ["ACTION_NOISES", "ActionNoise"]


class ActionNoise(Protocol):
    """Changes actions [E, A] in [-1, 1]; E stays the same."""

    def act(self, mean: NDArray[Any], step: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """The actions to take instead of `mean` [E, A], within [-1, 1]."""
        ...

    def state(self) -> Any:
        """What has to be saved, as JSON values."""
        ...

    def restore(self, state: Any) -> None:
        """Takes `state()` back; ValueError for anything else."""
        ...


ACTION_NOISES: dict[str, Callable[[float, float], ActionNoise]] = {
    "gaussian": lambda scale, theta: GaussianNoise(scale),
    "ornstein_uhlenbeck": OrnsteinUhlenbeckNoise,
}
"""By the name of the kind: its scale and theta -> the noise."""
