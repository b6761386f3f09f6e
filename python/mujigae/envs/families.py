"""What kind of environment an id is, and what it needs. A new kind is one more entry of FAMILIES.

    atari          ids ALE/...            ale-py's own vector environment
    minatar        ids MinAtar/...        planes of 10 x 10 cells, channels last
    pixels         images of 12 x 12 pixels and more, single or beside discrete parts in a Dict or Tuple
    tiny_pixels    smaller images
    vector         every other Box: numbers
    flattened      Discrete, MultiDiscrete, MultiBinary, Dict, Tuple: one vector, discrete parts one-hot

The first one that matches counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import gymnasium
from gymnasium import spaces

from mujigae.config.run import EnvConfig
from mujigae.envs.atari import AtariGames, atari_ids, atari_protocol, game_over
from mujigae.envs.environment import Environment
from mujigae.envs.images import image_sides
from mujigae.envs.looking import look
from mujigae.envs.observations import (
    LARGE_SIDE,
    flattened,
    image_path,
    images,
    num_flat,
    numbers,
    planes,
    stack_of,
)
from mujigae.envs.opening import unknown_environment
from mujigae.envs.steps import StepStream
from mujigae.envs.vector import View, open_vector
from mujigae.errors import ConfigError

__all__ = ["FAMILIES", "Candidate", "Family", "family_for"]


class Candidate:
    """An environment whose family is to be found; it is opened for it only if a family asks for its space."""

    def __init__(self, options: EnvConfig) -> None:
        self.options = options

    @property
    def env_id(self) -> str:
        """The id without the module that registers it."""
        return self.options.env_id.rpartition(":")[2]

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        """That of one environment, without the mask of its actions; raises as `open_one` does."""
        return look(self.options).observation_space

    @property
    def smallest_side(self) -> int:
        """Of its images, or of the one image in its Dict or Tuple, in pixels; 0 where it has none."""
        space, stack, _ = look(self.options)
        sides = image_sides(space, self.options.channels, stack)
        return LARGE_SIDE if image_path(space, self.options.channels) is not None else min(sides or (0,))


class Maker(Protocol):
    """Opens the environments of a family."""

    def __call__(self, options: EnvConfig, *, training: bool, render: bool) -> Environment: ...


@dataclass(frozen=True)
class Family:
    """A kind of environment."""

    name: str
    matches: Callable[[Candidate], bool]
    make: Maker
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of configuration fields that suit it; an agent's own and a preset's go first."""


def family_for(options: EnvConfig) -> Family:
    """The first of FAMILIES that matches; raises ConfigError for an id or a space of none."""
    candidate = Candidate(options)
    for family in FAMILIES:
        if family.matches(candidate):
            return family
    raise ConfigError(
        f"observation_space: expected numbers, images, or discrete spaces, got {candidate.observation_space}"
    )


def _is_atari(candidate: Candidate) -> bool:
    """Whether ale-py's vector environment plays it; ConfigError for a game that it does not know."""
    if not candidate.options.env_id.startswith("ALE/"):
        return False
    if candidate.env_id not in atari_ids():
        raise unknown_environment(candidate.env_id, atari_ids())
    return True


def _make_atari(options: EnvConfig, *, training: bool, render: bool) -> Environment:
    life_loss = options.life_loss and training
    games = AtariGames(options, life_loss=life_loss, render=render)
    return Environment(
        stream=StepStream(games, game_over=game_over),
        observation_space=games.single_observation_space,
        action_space=games.single_action_space,
        frame_stack=options.frame_stack,
        protocol=atari_protocol(options, games, life_loss=life_loss),
        frames_per_step=options.frame_skip,
        family="",
        max_episode_steps=-(-options.max_frames_per_episode // options.frame_skip),
        action_names=games.action_names,
        _picture=(lambda: cast("tuple[Any, ...]", games.render())[0]) if render else None,
    )


def _seen_as(view: View) -> Maker:
    """Opens Gymnasium's environments, each with the observations that `view` makes of its own."""

    def make(options: EnvConfig, *, training: bool, render: bool) -> Environment:
        return open_vector(options, render=render, view=view)

    return make


def _images(env: Any, options: EnvConfig) -> Any:
    path = image_path(env.observation_space, options.channels)
    if path is not None:
        return planes(env, path, options.channels)
    return images(env, options.channels, stack_of(env.env))


# Young and Tian 2019: one convolution, an update in every step, epsilon 0.1 after 100,000 steps.
_MINATAR = {
    "torso": "tiny_pixels",
    "head_size": 128,
    "learning_rate": 2.5e-4,
    "batch_size": 32,
    "learn_period_steps": 1,
    "target_update_period_updates": 1_000,
    "capacity": 100_000,
    "min_replay_steps": 5_000,
    "epsilon_end": 0.1,
    "epsilon_steps": 100_000,
    "steps": 1_000_000,
    "checkpoint_period_steps": 100_000,
    "log_period_steps": 5_000,
    "best_episodes": 20,
}

FAMILIES = (
    Family("atari", _is_atari, _make_atari, {"clip_rewards": True}),
    Family(
        "minatar",
        lambda it: it.env_id.startswith("MinAtar/"),
        _seen_as(lambda env, _: images(env, "last")),
        _MINATAR,
    ),
    Family("pixels", lambda it: it.smallest_side >= LARGE_SIDE, _seen_as(_images)),
    Family("tiny_pixels", lambda it: it.smallest_side > 0, _seen_as(_images)),
    Family(
        "vector",
        lambda it: isinstance(it.observation_space, spaces.Box),
        _seen_as(lambda env, _: numbers(env)),
    ),
    Family(
        "flattened",
        lambda it: num_flat(it.observation_space) > 0,
        _seen_as(lambda env, _: flattened(env)),
    ),
)
