"""What an environment shows before it is played: its observations, and whether it says which actions are legal."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, NamedTuple

import gymnasium

from mujigae.config.run import EnvConfig
from mujigae.envs.masks import Place, mask_place, without_mask
from mujigae.envs.observations import stack_of
from mujigae.envs.opening import open_one

__all__ = ["Look", "look"]


class Look(NamedTuple):
    """One environment of a configuration, as far as its family depends on it."""

    observation_space: gymnasium.Space[Any]  # without the mask
    frame_stack: int | None  # frames that roll in it
    mask_place: Place | None  # None where masks are not wanted, too


def look(options: EnvConfig) -> Look:
    """Opens one environment, which is closed again; raises as `open_one` does."""
    return _looked_at(options.env_id, options.env_kwargs, options.wrapper, options.action_masks)


@functools.cache  # a command asks more than once
def _looked_at(
    env_id: str, env_kwargs: tuple[str, ...], wrapper: tuple[str, ...], action_masks: bool
) -> Look:
    env = open_one(EnvConfig(env_id, env_kwargs=env_kwargs, wrapper=wrapper))
    place = mask_place(env) if action_masks else None
    with contextlib.suppress(Exception):  # what is wrong with it is said of the environments that are played
        env.env.close()
    return Look(without_mask(env, place).observation_space, stack_of(env.env), place)
