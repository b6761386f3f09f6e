"""What environments and wrappers keep over their resets: read, and put back into others made the same way.

    RunningMeanStd        the statistics of Gymnasium's NormalizeObservation and NormalizeReward, and of wrappers like them
    discounted_reward     NormalizeReward's, which runs on where an episode is truncated
    state_dict(), load_state_dict(state)      of an environment or wrapper with state of its own: {name: array or number}

Anything else that outlives a reset is invisible from outside, and lost where a run is resumed or evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import NormalizeReward
from gymnasium.wrappers.utils import RunningMeanStd
from numpy.typing import NDArray

from mujigae.errors import BrokenEnvironmentError

__all__ = ["freeze", "owners", "read", "write"]

State = dict[str, NDArray[Any]]
_FIELDS = ("mean", "var", "count")


def read(env: gymnasium.Env[Any, Any]) -> State:
    """A copy of everything that `env` keeps, by names such as "1.obs_rms.mean" (layer, attribute, field)."""
    state: State = {}
    for depth, layer in _layers(env):
        for name, statistics in _statistics(layer):
            state |= {f"{depth}.{name}.{key}": np.array(getattr(statistics, key)) for key in _FIELDS}
        if isinstance(layer, NormalizeReward):
            state[f"{depth}.discounted_reward"] = np.array(layer.discounted_reward)
        if _has_state(layer):
            state |= {
                f"{depth}.state.{key}": _array(layer, key, value) for key, value in layer.state_dict().items()
            }
    return state


def write(env: gymnasium.Env[Any, Any], state: Mapping[str, NDArray[Any]]) -> None:
    """Puts `read`'s state of an environment made the same way into `env`; ValueError for that of another."""
    expected = read(env)
    if state.keys() != expected.keys():
        names = sorted(state.keys() ^ expected.keys())
        raise ValueError(f"state of environments: expected the same wrappers, got a difference in {names[0]}")
    for name, value in state.items():
        if value.shape != expected[name].shape:
            raise ValueError(
                f"state of environments: expected {name} of shape {expected[name].shape}, got {value.shape}"
            )
    for depth, layer in _layers(env):
        own = {
            n.removeprefix(f"{depth}."): value.copy()
            for n, value in state.items()
            if n.startswith(f"{depth}.")
        }
        for name, statistics in _statistics(layer):
            for key in _FIELDS:
                setattr(statistics, key, _like(getattr(statistics, key), own[f"{name}.{key}"]))
        if isinstance(layer, NormalizeReward):
            layer.discounted_reward = own["discounted_reward"]
        if _has_state(layer):
            layer.load_state_dict(
                {n.removeprefix("state."): value for n, value in own.items() if n.startswith("state.")}
            )


def freeze(env: gymnasium.Env[Any, Any], is_frozen: bool) -> None:
    """Statistics stay as they are from now on, as an evaluation wants them; or are updated again."""
    for _, layer in _layers(env):
        if isinstance(getattr(type(layer), "update_running_mean", None), property):
            layer.update_running_mean = not is_frozen


def owners(env: gymnasium.Env[Any, Any]) -> tuple[str, ...]:
    """The names of the classes that keep something, from the outside in."""
    return tuple(
        type(layer).__name__ for _, layer in _layers(env) if _has_state(layer) or any(_statistics(layer))
    )


def _layers(env: Any) -> Iterator[tuple[int, Any]]:
    depth = 0
    while True:
        yield depth, env
        if not isinstance(env, gymnasium.Wrapper):
            return
        env, depth = env.env, depth + 1


def _statistics(layer: Any) -> Iterator[tuple[str, RunningMeanStd]]:
    return ((name, value) for name, value in sorted(vars(layer).items()) if isinstance(value, RunningMeanStd))


def _has_state(layer: Any) -> bool:
    return all(callable(getattr(type(layer), name, None)) for name in ("state_dict", "load_state_dict"))


def _array(layer: Any, key: str, value: Any) -> NDArray[Any]:
    array = np.array(value)
    if array.dtype.kind not in "biuf":
        raise BrokenEnvironmentError(
            f"{type(layer).__name__}.state_dict(): expected numbers and arrays of them, got {value!r:.60} for {key!r}"
        )
    return array


def _like(current: Any, value: NDArray[Any]) -> Any:
    """`value` as Python's or NumPy's number where `current` is one: NumPy promotes them differently."""
    return value[()] if isinstance(current, np.ndarray | np.generic) else value.item()
