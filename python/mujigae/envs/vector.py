"""Gymnasium environments of one kind, stepped together, as an agent takes them."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space

from mujigae.config.run import EnvConfig
from mujigae.envs import statistics
from mujigae.envs.contract import Contract
from mujigae.envs.environment import Environment
from mujigae.envs.looking import look
from mujigae.envs.masks import OBS, Place, masked, without_mask
from mujigae.envs.observations import stack_of, unused_parts
from mujigae.envs.opening import open_one
from mujigae.envs.processes import ProcessVectorEnv
from mujigae.envs.steps import StepStream
from mujigae.errors import ConfigError

__all__ = ["View", "open_vector"]

Env = gymnasium.Env[Any, Any]
View = Callable[[Env, EnvConfig], Env]
"""What a family makes of one environment, so that an agent can take its observations."""


def open_vector(options: EnvConfig, *, render: bool, view: View) -> Environment:
    """SAME_STEP, so that every step gives a row for every environment; only environment 0 is drawn.

    Raises ConfigError for environments whose spaces differ from one to the next in more than bounds.
    """
    if render:
        _draw_without_display()
    place = look(options).mask_place
    makers = [
        functools.partial(_open_view, options, e, "rgb_array" if render and e == 0 else None, view, place)
        for e in range(options.num_envs)
    ]
    first = makers[0]()
    inner = _contract(first).env
    stack = stack_of(inner)
    return Environment(
        stream=StepStream(
            _vector_env(options, first, makers, in_processes=options.env_processes and not render)
        ),
        observation_space=first.observation_space,
        action_space=first.action_space,
        frame_stack=stack if place is None or stack is None else {OBS: stack},
        protocol=_protocol(options, inner, place),
        frames_per_step=1,
        family="",
        max_episode_steps=None if inner.spec is None else inner.spec.max_episode_steps,
        state_owners=statistics.owners(inner),
        _picture=first.render if render else None,
    )


def _open_view(
    options: EnvConfig, number: int, render_mode: str | None, view: View, place: Place | None
) -> Env:
    env = open_one(options, number, render_mode)
    viewed = view(without_mask(env, place), options)
    return viewed if place is None else masked(viewed, env)


def _vector_env(
    options: EnvConfig, first: Env, makers: Sequence[Callable[[], Env]], *, in_processes: bool
) -> SyncVectorEnv | AsyncVectorEnv:
    """All environments; `first` is one of them, unless each gets a process of its own."""
    mode = AutoresetMode.SAME_STEP
    try:
        if in_processes:
            first.close()
            return ProcessVectorEnv(makers, mode)
        unused = iter([first, *(make() for make in makers[1:])])
        # Bounds may differ from one environment to the next: the first one's hold for all.
        spaces = batch_space(first.observation_space, len(makers)), first.observation_space
        return SyncVectorEnv(
            [lambda: next(unused)] * len(makers), observation_mode=spaces, autoreset_mode=mode
        )
    except RuntimeError as error:
        words = " ".join(str(error).split())
        raise ConfigError(
            f"env_id: {options.env_id!r} has spaces that differ from one to the next: {words}"
        ) from error


def _contract(env: Env) -> Contract:
    """The layer that `open_one` made, below the view."""
    while not isinstance(env, Contract):
        assert isinstance(env, gymnasium.Wrapper)
        env = env.env
    return env


def _draw_without_display() -> None:
    """Pygame draws into memory, but looks for a screen first and complains where there is none; MuJoCo needs to know it.

    SDL, on which pygame stands, leaves SIGTERM to whom it is for.
    """
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("MUJOCO_GL", "egl")


def _protocol(options: EnvConfig, env: Env, place: Place | None) -> str:
    limit = None if env.spec is None else env.spec.max_episode_steps
    unused = unused_parts(env.observation_space)
    parts = (
        f"gymnasium {gymnasium.__version__}",
        "no time limit" if limit is None else f"limit {limit} steps",
        *options.env_kwargs,
        *(f"wrapper {name}" for name in options.wrapper),
        *(f"observations without {name}" for name in unused),
        *(["legal actions only"] if place is not None else []),
        "raw rewards",
    )
    return f"{options.env_id}: {', '.join(parts)}"
