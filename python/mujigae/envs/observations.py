"""Observations as an agent takes them: one array, an image [C, H, W] or [H, W], or numbers of another shape.

    images, Gymnasium's stacks of images     [C, H, W] (see `images`); the replay is told of stacks that roll: `stack_of`
    Discrete, MultiDiscrete, MultiBinary, Tuple, Dict     flattened as Gymnasium flattens them: one-hot, in order
    a Dict or Tuple with an image and discrete parts      [C + F, H, W]: each of their F flattened numbers is a plane

The rest is refused in one line, where the environment is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation
from numpy.typing import NDArray

from mujigae.envs.images import Channels, channels_first, image_sides
from mujigae.errors import ConfigError

__all__ = [
    "LARGE_SIDE",
    "flattened",
    "image_path",
    "images",
    "num_flat",
    "numbers",
    "planes",
    "stack_of",
    "unused_parts",
]

Env = gymnasium.Env[Any, Any]
Path = tuple[Any, ...]  # of keys and places, from a Dict or Tuple to one of its parts

LARGE_SIDE = 12  # of an image that a Dict or Tuple is drawn around; smaller ones are flattened with the rest
MAX_PLANES, MAX_FLAT_SIZE = 32, 2**20

# Wrappers that hand observations on as they are.
_TRANSPARENT = (
    *(gymnasium.RewardWrapper, gymnasium.ActionWrapper, gymnasium.wrappers.Autoreset),
    *(gymnasium.wrappers.TimeLimit, gymnasium.wrappers.OrderEnforcing, gymnasium.wrappers.PassiveEnvChecker),
    gymnasium.wrappers.RecordEpisodeStatistics,
)
_DISCRETE = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class _View(gymnasium.ObservationWrapper[Any, Any, Any]):
    """`env` with the observations that `function` makes of its own, which are of `space`."""

    def __init__(self, env: Env, space: spaces.Box, function: Callable[[Any], NDArray[Any]]) -> None:
        super().__init__(env)
        self.observation_space = space
        self._function = function

    def observation(self, observation: Any) -> NDArray[Any]:
        return self._function(observation)


def stack_of(env: Env) -> int | None:
    """K where an observation is a rolling stack of K along axis 0, made by Gymnasium's FrameStackObservation."""
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, FrameStackObservation):
            is_array = isinstance(
                env.observation_space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary
            )
            return env.stack_size if env.stack_size > 1 and is_array else None
        if not isinstance(env, _TRANSPARENT):
            return None
        env = env.env
    return None


def images(env: Env, channels: Channels = "auto", stack: int | None = None) -> Env:
    """`env` with its images, or its stacks of `stack` images, as [C, H, W]."""
    space = env.observation_space
    assert isinstance(space, spaces.Box)
    return _View(env, *channels_first(space, channels, stack))


def numbers(env: Env) -> Env:
    """`env` with its arrays of numbers as they are, or as one vector where they have no axis or more than three."""
    space = env.observation_space
    assert isinstance(space, spaces.Box)
    return env if 1 <= len(space.shape) <= 3 else flattened(env)


def num_flat(space: gymnasium.Space[Any]) -> int:
    """How many numbers `flattened` makes of it."""
    return sum(spaces.flatdim(part) for _, part in _usable_leaves(space))


def flattened(env: Env) -> Env:
    """`env` with its observations flattened as Gymnasium does: one vector, discrete parts one-hot.

    It is stored in uint8 where every number fits, else in float32. Parts that Gymnasium cannot flatten are left out
    (`unused_parts`). Raises ConfigError where nothing is left, or too much.
    """
    parts, size = _usable_leaves(env.observation_space), num_flat(env.observation_space)
    if not 1 <= size <= MAX_FLAT_SIZE:
        raise ConfigError(
            f"observation_space: expected 1 to {MAX_FLAT_SIZE} numbers when flattened,"
            f" got {size} of {env.observation_space}"
        )
    flat: list[Any] = [spaces.flatten_space(part) for _, part in parts]
    low, high = (np.concatenate([getattr(box, name) for box in flat]) for name in ("low", "high"))
    fits = all(box.dtype.kind in "biu" for box in flat) and low.min() >= 0 and high.max() <= 255
    dtype: Any = np.uint8 if fits else np.float32

    def vector(obs: Any) -> NDArray[Any]:
        values: list[Any] = [spaces.flatten(part, _value(obs, path)) for path, part in parts]
        return np.concatenate(values).astype(dtype)

    return _View(env, spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype), vector)


def image_path(space: gymnasium.Space[Any], channels: Channels = "auto") -> Path | None:
    """The way to the one image (12 x 12 pixels or more) of a Dict or Tuple; None where it has no image.

    Raises ConfigError for images that `planes` cannot put together with the other parts.
    """
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        return None
    parts = dict(_usable_leaves(space))
    large = [path for path, part in parts.items() if min(image_sides(part, channels) or (0,)) >= LARGE_SIDE]
    if not large:
        return None
    others = [part for path, part in parts.items() if path != large[0]]
    is_discrete = all(isinstance(part, _DISCRETE) for part in others)
    fits = is_discrete and sum(map(spaces.flatdim, others)) <= MAX_PLANES
    if len(large) > 1 or parts[large[0]].dtype != np.uint8 or not fits:
        raise ConfigError(
            f"observation_space: expected one image of uint8, beside discrete parts of at most {MAX_PLANES} flattened"
            f" numbers, got {space}; a --wrapper, module:Class, can choose or reshape parts"
        )
    return large[0]


def planes(env: Env, path: Path, channels: Channels = "auto") -> Env:
    """`env` with one image [C + F, H, W]: that at `path`, then a plane for each of the F flattened numbers of the others.

    A plane is filled with the least pixel for 0 and with the largest for 1.
    """
    parts = dict(_usable_leaves(env.observation_space))
    image: Any = parts.pop(path)
    space, turned = channels_first(image, channels)
    low, high = space.low.min(), space.high.max()

    def stacked(obs: Any) -> NDArray[Any]:
        pixels = turned(_value(obs, path))
        pixels = pixels.reshape(-1, *pixels.shape[-2:])
        flags = [np.atleast_1d(spaces.flatten(part, _value(obs, at))) for at, part in parts.items()]  # type: ignore[arg-type]
        filled = [
            np.full((1, *pixels.shape[1:]), high if flag else low, pixels.dtype)
            for flag in np.concatenate(flags)
        ]
        return np.concatenate([pixels, *filled])

    num_planes = (1 if len(space.shape) == 2 else space.shape[0]) + sum(map(spaces.flatdim, parts.values()))
    return _View(env, spaces.Box(low, high, (num_planes, *space.shape[-2:]), dtype=space.dtype.type), stacked)


def unused_parts(space: gymnasium.Space[Any]) -> tuple[str, ...]:
    """The parts of a Dict or Tuple that Gymnasium cannot flatten, such as texts of a kind of their own."""
    return tuple(".".join(map(str, path)) for path, part in _leaves(space) if not _is_flat(part))


def _leaves(space: gymnasium.Space[Any], path: Path = ()) -> Iterator[tuple[Path, gymnasium.Space[Any]]]:
    """The parts that are neither Dict nor Tuple, in the order in which Gymnasium flattens them."""
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        yield path, space
        return
    children = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
    for key, part in children:
        yield from _leaves(part, (*path, key))


def _usable_leaves(space: gymnasium.Space[Any]) -> list[tuple[Path, gymnasium.Space[Any]]]:
    return [(path, part) for path, part in _leaves(space) if _is_flat(part)]


def _is_flat(part: gymnasium.Space[Any]) -> bool:
    try:
        spaces.flatdim(part)
    except (NotImplementedError, ValueError):
        return False
    return True


def _value(obs: Any, path: Path) -> Any:
    for key in path:
        obs = obs[key]
    return obs
