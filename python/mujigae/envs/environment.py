"""What an agent sees of environments that are stepped together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from mujigae.envs.steps import StepStream
from mujigae.errors import ConfigError

__all__ = ["Environment"]

_SMALLEST_PICTURE_SIDE = 32


@dataclass
class Environment:
    """A vector environment as an agent sees it; `make` builds it."""

    stream: StepStream
    observation_space: gymnasium.Space[Any]  # of one environment; a Dict {"obs", "action_mask"} with masks
    action_space: gymnasium.Space[Any]  # of one environment
    frame_stack: int | dict[str, int] | None
    """K where axis 0 of an observation is a rolling stack of K frames, {"obs": K} with masks, else None."""
    protocol: str
    """One line that names everything a score depends on; clipping the rewards is the learner's affair."""
    frames_per_step: int
    """Emulator frames in one agent decision."""
    family: str
    """Name of the Family that it is of."""
    max_episode_steps: int | None = None
    """Decisions after which it truncates a game; None: a game may last for ever."""
    action_names: tuple[str, ...] = ()
    """What each action does, where the environment says so."""
    state_owners: tuple[str, ...] = ()
    """The wrappers and environments whose state outlives a reset, and is in `state()`."""
    _picture: Callable[[], Any] | None = None

    def render(self) -> NDArray[np.uint8]:
        """Environment 0 as it looks now, RGB uint8 [H, W, 3]; `stream.reset` comes first.

        Where the episode has just ended this is already the next one's first frame, except in Atari. Raises
        ConfigError if the environment was made without `render=True`.
        """
        if self._picture is None:
            raise ConfigError("render: the environment was made without render=True")
        return _as_pixels(np.asarray(self._picture()))

    def state(self) -> dict[str, NDArray[Any]]:
        """What `state_owners` keep, by names that begin with the number of the environment; empty without any."""
        if not self.state_owners:
            return {}
        kept = self.stream.env.get_attr("kept")  # type: ignore[attr-defined]
        return {f"{e}.{name}": value for e, state in enumerate(kept) for name, value in state.items()}

    def restore(self, state: Mapping[str, NDArray[Any]], *, freeze: bool = False) -> None:
        """Takes `state()` back, of another number of environments too: environment e then takes that of e modulo theirs.

        With `freeze` the statistics stay as they are from now on. Raises ValueError for the state of other wrappers.
        """
        if not self.state_owners and not state:
            return
        kept = _by_environment(state)
        if not self.state_owners or not kept:
            raise ValueError(
                f"state of environments: expected that of {self.state_owners}, got {sorted(state)[:3]}"
            )
        env: Any = self.stream.env
        env.set_attr("kept", [kept[e % len(kept)] for e in range(self.stream.num_envs)])
        env.set_attr("is_frozen", freeze)

    def close(self) -> None:
        """Closes the environments."""
        self.stream.close()


def _as_pixels(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """A copy in uint8: floats are shares of full brightness, and a picture of a few cells is enlarged to be seen."""
    pixels = (picture * 255 if picture.dtype.kind == "f" else picture).astype(np.uint8)
    factor = -(-_SMALLEST_PICTURE_SIDE // max(min(pixels.shape[:2]), 1))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def _by_environment(state: Mapping[str, NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
    """The state of each environment; ValueError for names that are none of `Environment.state`."""
    kept: dict[int, dict[str, NDArray[Any]]] = {}
    for name, value in state.items():
        number, _, rest = name.partition(".")
        if not number.isdecimal():
            raise ValueError(f"state of environments: expected names that begin with a number, got {name!r}")
        kept.setdefault(int(number), {})[rest] = value
    return [kept[number] for number in sorted(kept)]
