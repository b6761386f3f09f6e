"""Vector environments that reset themselves in the step after an end, for libraries that hand that step over as any other.

obs       action    next_obs
[2 3 4]   is used   [3 4 5]     the last step of an episode
[3 4 5]   ignored   [0 0 0]     the reset: no transition, and its stack does not roll
[0 0 0]   is used   [0 0 1]     the first step of the next episode
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ResetSteps"]


class ResetSteps:
    """Finds the resets among the steps of E environments whose observations are stacks of frames, or dicts with such stacks.

    A reset goes on from the step before it, and one of its stacks does not roll. The first step, and a second one in a row of which
    that is true, are not found: their stacks are not what `frame_stack` says, which the buffer then refuses. Nothing is found
    where nothing is stacked.

    Args:
        frame_stack: frames along axis 0 of an observation, `{"name": k}` for dicts (nested: "a.b"), None for no stacks.
    """

    def __init__(self, frame_stack: Any) -> None:
        stacks: Mapping[str, Any] = frame_stack if isinstance(frame_stack, Mapping) else {"": frame_stack}
        self._stacks = {
            name: int(k) for name, k in stacks.items() if isinstance(k, int | np.integer) and k > 1
        }
        self._last: dict[str, Any] = {}  # [E, *shape] each: where the steps before led to
        self._found: Any = False  # bool [E]: which of those were resets

    def find(self, obs: Any, next_obs: Any) -> NDArray[np.bool_]:
        """bool [E] for observations [E, *obs_shape], or dicts of them."""
        now, later = _arrays(obs), _arrays(next_obs)
        shapes = {name: array.shape for name, array in now.items()}
        num_envs = next(iter(shapes.values()))[0]
        if {name: array.shape for name, array in self._last.items()} != shapes:
            return np.zeros(num_envs, bool)
        goes_on = np.logical_and.reduce([_same(array, self._last[name]) for name, array in now.items()])
        rolls = np.ones(num_envs, bool)
        for name, k in self._stacks.items():
            size = now[name].shape[1] // k
            rolls &= _same(now[name][:, size:], later[name][:, :-size])
        found: NDArray[np.bool_] = goes_on & ~rolls & ~self._found
        return found

    def keep(self, next_obs: Any, found: NDArray[np.bool_]) -> None:
        """Notes steps that were added, and which of them were resets."""
        if self._stacks:
            self._last = {name: np.array(array) for name, array in _arrays(next_obs).items()}
            self._found = found


def _arrays(obs: Any, path: str = "") -> dict[str, Any]:
    """The arrays of an observation by their names, "a.b" where dicts are nested."""
    if not isinstance(obs, Mapping):
        return {path: obs}
    parts = [_arrays(part, f"{path}.{name}" if path else name) for name, part in obs.items()]
    return {name: array for part in parts for name, array in part.items()}


def _same(one: Any, other: Any) -> NDArray[np.bool_]:
    """bool [E]: which rows are equal, where NaN is NaN."""
    differs = (one != other) & ~((one != one) & (other != other))
    same: NDArray[np.bool_] = ~differs.reshape(len(one), -1).any(axis=1)
    return same
