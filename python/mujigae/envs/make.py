"""From an environment's id to something an agent can step, with one line that says how it is played."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from mujigae.envs.atari import AtariGames, atari_ids, atari_protocol, game_over
from mujigae.envs.steps import StepStream
from mujigae.errors import ConfigError, MissingExtraError

__all__ = ["EnvOptions", "Environment", "family_of", "make", "unknown_environment"]

_OLD_ATARI_VARIANT = re.compile(r"(-ram)?(NoFrameskip|Deterministic)?(?=-v\d+$)")
_SMALL_PIXELS_SIDE = 12  # the least side that the torso "small_pixels" takes


@dataclasses.dataclass(frozen=True)
class EnvOptions:
    """Everything that makes an environment what it is. All but the first two fields concern Atari alone.

    The defaults are Rainbow's (Hessel et al. 2018). Raises ConfigError for values that make no sense.
    """

    env_id: str
    """A Gymnasium id, "CartPole-v1", "ALE/Pong-v5", or "module:id" to import the module that registers it."""
    num_envs: int = 1
    """Environments stepped together."""
    frame_size: int = 84
    """Height and width of a grey frame in pixels."""
    frame_stack: int = 4
    """Newest frames in one observation."""
    frame_skip: int = 4
    """Emulator frames per decision."""
    sticky_probability: float = 0.0
    """Chance, per emulator frame, that the previous action is repeated (Machado et al. 2018: 0.25)."""
    life_loss: bool = True
    """In training, a lost life is terminal for the learner while the game goes on. Never in evaluation."""
    fire_reset: bool = False
    """Press FIRE at a reset, in games that have it."""
    num_noops: int = 30
    """Largest number of no-op frames at a reset; the number is uniform on 0 to this."""
    full_action_set: bool = False
    """All 18 actions rather than those that do something in this game."""
    max_frames_per_episode: int = 108_000
    """Emulator frames after which a game is truncated: half an hour of play."""

    def __post_init__(self) -> None:
        for name in ("num_envs", "frame_size", "frame_stack", "frame_skip", "max_frames_per_episode"):
            _check_int(name, getattr(self, name), 1)
        _check_int("num_noops", self.num_noops, 0)
        if not 0.0 <= self.sticky_probability <= 1.0:
            raise ConfigError(f"sticky_probability: expected 0 to 1, got {self.sticky_probability}")


@dataclasses.dataclass
class Environment:
    """A vector environment as an agent sees it; `make` builds it."""

    stream: StepStream
    observation_space: gymnasium.Space[Any]  # of one environment
    action_space: gymnasium.Space[Any]  # of one environment
    frame_stack: int | None
    """K where axis 0 of an observation is a rolling stack of K frames, else None."""
    protocol: str
    """One line that names everything a score depends on; clipping the rewards is the learner's affair."""
    frames_per_step: int
    """Emulator frames in one agent decision."""
    family: str
    """"vector", "atari", "pixels", "tiny_pixels" or "other", as `family_of` says."""
    action_names: tuple[str, ...] = ()
    """What each action does, where the environment says so."""
    _picture: Callable[[], Any] | None = None

    def render(self) -> NDArray[np.uint8]:
        """Environment 0 as it looks now, RGB uint8 [H, W, 3]; `stream.reset` comes first.

        Where the episode has just ended this is already the next one's first frame, except in Atari. Raises
        ConfigError if the environment was made without `render=True`.
        """
        if self._picture is None:
            raise ConfigError("render: the environment was made without render=True")
        return np.array(self._picture(), dtype=np.uint8)

    def close(self) -> None:
        """Closes the environments."""
        self.stream.close()


def make(options: EnvOptions, *, training: bool, render: bool = False) -> Environment:
    """Opens `options.num_envs` environments.

    Args:
        options: which, and how.
        training: False for evaluation, which differs in one thing: a lost life is no terminal.
        render: whether `Environment.render` shall work.

    Raises:
        ConfigError: the id is unknown (the message has close matches), or cannot be opened or drawn.
        MissingExtraError: it needs a package that is not installed.
    """
    if _is_atari(options.env_id):
        return _make_atari(options, life_loss=options.life_loss and training, render=render)
    return _make_gymnasium(options, render=render)


def family_of(env_id: str) -> str:
    """What sizes and rates suit an environment; raises as `make` does.

    "atari"; "vector" (1-D Box); "pixels" (uint8 Box [C, H, W] or [H, W]); "tiny_pixels" (a side below 12);
    "other".
    """
    return "atari" if _is_atari(env_id) else _family_by_opening(env_id)


def unknown_environment(env_id: str, known: Iterable[str]) -> ConfigError:
    """The error for an id that is not among `known`: it names those that are spelled much like it."""
    by_lower = {name.lower(): name for name in known}
    wanted = _OLD_ATARI_VARIANT.sub("", env_id).lower()  # "PongNoFrameskip-v4" means "ALE/Pong-v5"
    close = difflib.get_close_matches(wanted, by_lower, n=3, cutoff=0.65)
    hint = f"; did you mean {' or '.join(by_lower[name] for name in close)}?" if close else ""
    return ConfigError(f"env_id: unknown environment {env_id!r}{hint}")


def _is_atari(env_id: str) -> bool:
    """Whether ale-py's vector environment plays it; ConfigError for a game that it does not know."""
    if not env_id.startswith("ALE/"):
        return False
    if env_id not in atari_ids():
        raise unknown_environment(env_id, atari_ids())
    return True


def _make_atari(options: EnvOptions, *, life_loss: bool, render: bool) -> Environment:
    games = AtariGames(options, life_loss=life_loss, render=render)
    return Environment(
        stream=StepStream(games, game_over=game_over),
        observation_space=games.single_observation_space,
        action_space=games.single_action_space,
        frame_stack=options.frame_stack,
        protocol=atari_protocol(options, games, life_loss=life_loss),
        frames_per_step=options.frame_skip,
        family="atari",
        action_names=games.action_names,
        _picture=(lambda: cast("tuple[Any, ...]", games.render())[0]) if render else None,
    )


def _make_gymnasium(options: EnvOptions, *, render: bool) -> Environment:
    """SAME_STEP, so that every step gives a row for every environment; only environment 0 is drawn."""
    if render:
        _draw_without_display()
    render_modes = ["rgb_array" if render else None, *[None] * (options.num_envs - 1)]
    envs = [_open(options.env_id, render_mode=mode) for mode in render_modes]
    unused = iter(envs)
    makers = [lambda: next(unused)] * len(envs)
    vector_env = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    return Environment(
        stream=StepStream(vector_env),
        observation_space=envs[0].observation_space,
        action_space=envs[0].action_space,
        frame_stack=None,
        protocol=_gymnasium_protocol(options.env_id, envs[0]),
        frames_per_step=1,
        family=_family_of_space(envs[0].observation_space),
        _picture=envs[0].render if render else None,
    )


@functools.cache  # a command asks more than once
def _family_by_opening(env_id: str) -> str:
    env = _open(env_id, render_mode=None)
    family = _family_of_space(env.observation_space)
    env.close()
    return family


def _open(env_id: str, *, render_mode: str | None) -> gymnasium.Env[Any, Any]:
    """gymnasium.make, with every failure told in one line."""
    options: dict[str, Any] = (
        {} if render_mode is None else {"render_mode": render_mode}
    )  # not every environment takes it
    try:
        if _is_ale_py(gymnasium.registry.get(env_id)):
            raise gymnasium.error.UnregisteredEnv  # "Pong-v4" and its like bypass the vector environment
        env: gymnasium.Env[Any, Any] = gymnasium.make(env_id, disable_env_checker=True, **options)
    except gymnasium.error.UnregisteredEnv as error:
        raise unknown_environment(env_id, _known_ids()) from error
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise MissingExtraError(
            f"env_id: {env_id!r} needs a package that is missing: {_one_line(error)}"
        ) from error
    except Exception as error:
        raise ConfigError(f"env_id: {env_id!r} cannot be opened: {_one_line(error)}") from error
    if render_mode is not None and env.render_mode != render_mode:
        raise ConfigError(
            f"render: {env_id!r} has no {render_mode!r} pictures, only {env.metadata.get('render_modes')}"
        )
    return env


def _draw_without_display() -> None:
    """Pygame draws into memory, but looks for a screen first and complains where there is none."""
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def _known_ids() -> list[str]:
    registered = [env_id for env_id, spec in gymnasium.registry.items() if not _is_ale_py(spec)]
    with contextlib.suppress(MissingExtraError):
        registered += atari_ids()
    return registered


def _is_ale_py(spec: Any) -> bool:
    return spec is not None and str(spec.entry_point).startswith("ale_py")


def _family_of_space(space: gymnasium.Space[Any]) -> str:
    if not isinstance(space, Box):
        return "other"
    if len(space.shape) == 1:
        return "vector"
    if space.dtype == np.uint8 and len(space.shape) in (2, 3):
        return "pixels" if min(space.shape[-2:]) >= _SMALL_PIXELS_SIDE else "tiny_pixels"
    return "other"


def _gymnasium_protocol(env_id: str, env: gymnasium.Env[Any, Any]) -> str:
    limit = None if env.spec is None else env.spec.max_episode_steps
    time_limit = "no time limit" if limit is None else f"limit {limit} steps"
    return f"{env_id}: gymnasium {gymnasium.__version__}, {time_limit}, raw rewards"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check_int(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name}: expected an integer of at least {least}, got {value!r}")
