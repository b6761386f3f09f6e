"""Vector environments that reset themselves in the step after an end, for libraries that hand that step over as any other.

obs       action    next_obs
[2 3 4]   is used   [3 4 5]     the last step of an episode
[3 4 5]   ignored   [0 0 0]     the reset: no transition, and its stack does not roll
[0 0 0]   is used   [0 0 1]     the first step of the next episode
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ResetSteps"]


class ResetSteps:
    """Finds the resets among the steps of E environments whose observations are stacks of frames.

    A reset goes on from the step before it, and its stack does not roll. The first step, and a second one in a row of which that
    is true, are not found: their stacks are not what `frame_stack` says, which the buffer then refuses.

    Args:
        stack: frames along axis 0 of an observation.
    """

    def __init__(self, stack: int) -> None:
        self._stack = stack
        self._last: Any = None  # [E, *obs_shape]: where the steps before led to
        self._found: Any = False  # bool [E]: which of those were resets

    def find(self, obs: Any, next_obs: Any) -> NDArray[np.bool_]:
        """bool [E] for observations [E, *obs_shape]."""
        num_envs, size = len(obs), obs.shape[1] // self._stack
        if self._last is None or self._last.shape != obs.shape:
            return np.zeros(num_envs, bool)
        goes_on = (obs == self._last).reshape(num_envs, -1).all(axis=1)
        rolls = (obs[:, size:] == next_obs[:, :-size]).reshape(num_envs, -1).all(axis=1)
        found: NDArray[np.bool_] = goes_on & ~rolls & ~self._found
        return found

    def keep(self, next_obs: Any, found: NDArray[np.bool_]) -> None:
        """Notes steps that were added, and which of them were resets."""
        self._last, self._found = np.array(next_obs), found
