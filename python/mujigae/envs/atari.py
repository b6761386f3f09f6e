"""Atari 2600 games through ale-py's own C++ vector environment, its traps taken out (as of ale-py 0.12.1).

    its trap                                                    what is done here
    reward_clipping is on by default and hides the score        off: clipping is the learner's
    episodic_life resets the whole game when a life is lost     life_loss_info instead: the game goes on
    a life lost in the step that meets the time limit is no     `game_over` counts the frames itself
      truncation, lives are left, and yet a reset follows
    FIRE is pressed at resets by default, before the no-ops     off by default, as in Mnih et al. 2015
    noop_max=n draws 0 to n - 1 no-ops                          num_noops=n draws 0 to n
    an action out of range hangs the process for ever           refused before it gets there
    a two-player ROM (combat, joust, ...) exits the process     refused before it gets there

The autoreset mode is NEXT_STEP, at the cost of one idle step a game: it alone reports the lives left when a
game ends. SAME_STEP overwrites them with the next game's and copies every observation twice; DISABLED is
refused.

A frame is the maximum of the last two emulator frames, in ALE's grey, resized from 210 x 160 by averaging
areas (OpenCV's INTER_AREA, inside ale-py), to 42 x 42 as to 84 x 84; at a reset the stack is padded with
zeros. A step that the game's end or the time limit cuts short keeps an older frame in that maximum.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mujigae.config.run import EnvConfig
from mujigae.errors import ConfigError, require

__all__ = ["AtariGames", "atari_ids", "atari_protocol", "game_over"]


class AtariGames(VectorEnv[NDArray[np.uint8], NDArray[np.int64], NDArray[Any]]):
    """`options.num_envs` games of one kind: observations uint8 [E, stack, H, W], raw rewards.

    `info["game_over"]`, bool [E], marks the ends that a reset follows, as against lost lives. With `render`,
    a second emulator plays game 0 in colour: same seed, options and actions make it follow the first one
    exactly.
    """

    def __init__(self, options: EnvConfig, *, life_loss: bool, render: bool = False) -> None:
        rom = _rom_of(options.env_id)
        size = options.frame_size
        self._games = _open(rom, options, img_height=size, img_width=size, life_loss_info=life_loss)
        self._mirror = _open_mirror(rom, options) if render else None
        self._screen: NDArray[np.uint8] | None = None
        self._frame_limit = options.max_frames_per_episode
        self._life_loss = life_loss
        self._seeded = False
        self.num_envs = options.num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"]}
        self.render_mode = "rgb_array" if render else None
        self.single_observation_space = self._games.single_observation_space
        self.single_action_space = self._games.single_action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.action_names: tuple[str, ...] = tuple(action.name for action in self._games.ale.get_action_set())

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Resets every game; game i is seeded with `seed + i`, and without a seed the generators run on."""
        if options:
            raise ValueError(f"options: AtariGames resets all games at once, got {sorted(options)}")
        if seed is None and not self._seeded:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint32)[0] >> 2)
        self._seeded = True
        obs, info = self._games.reset(seed=seed)
        if self._mirror is not None:
            self._screen = self._mirror.reset(seed=seed)[0][0, 0]
        self._first_frame = info["episode_frame_number"].copy()
        self._over = np.zeros(self.num_envs, dtype=bool)
        return obs, {**info, "game_over": self._over}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One decision in every game; a game that was over is reset instead and its action ignored."""
        actions = self._checked(actions)
        obs, reward, terminated, truncated, info = self._games.step(actions)
        if self._mirror is not None:
            self._screen = self._mirror.step(actions[:1])[0][0, 0]
        frame = info["episode_frame_number"]
        self._first_frame = np.where(self._over, frame, self._first_frame)
        at_limit = frame - self._first_frame >= self._frame_limit
        life_lost_only = self._life_loss & terminated & (info["lives"] > 0) & ~at_limit
        self._over = (terminated | truncated) & ~life_lost_only
        return obs, reward, terminated, truncated, {**info, "game_over": self._over}

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Game 0's newest frame, RGB uint8 [210, 160, 3] for most games; None unless made with `render`."""
        return None if self._screen is None else (self._screen.copy(),)

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the emulators' threads."""
        del self._games.ale
        if self._mirror is not None:
            del self._mirror.ale

    def _checked(self, actions: Any) -> NDArray[np.int64]:
        array = np.asarray(actions)
        num_actions = len(self.action_names)
        if array.shape != (self.num_envs,) or array.dtype.kind not in "iu":
            raise ValueError(
                f"actions: expected integers of shape ({self.num_envs},), "
                f"got {array.dtype} of shape {array.shape}"
            )
        if array.min() < 0 or array.max() >= num_actions:
            raise ValueError(f"actions: expected 0 to {num_actions - 1}, got {array.tolist()}")
        return array.astype(np.int64)


def game_over(
    info: Mapping[str, Any], terminated: NDArray[np.bool_], truncated: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """What AtariGames found out; the `game_over` of its StepStream."""
    over: NDArray[np.bool_] = info["game_over"]
    return over


def atari_ids() -> tuple[str, ...]:
    """The ids of all games, "ALE/Pong-v5" and so on, in order; raises MissingExtraError without ale-py."""
    return tuple(f"ALE/{name}-v5" for name in sorted(_roms_by_name()))


def atari_protocol(options: EnvConfig, games: AtariGames, *, life_loss: bool) -> str:
    """Every number that a score depends on, in one line."""
    size = options.frame_size
    fires = options.fire_reset and "FIRE" in games.action_names
    most_noops = max(options.num_noops - 1, 0) if fires else options.num_noops
    action_set = "full" if options.full_action_set else "minimal"
    return (
        f"{options.env_id}: {size}x{size} grey frames, stack {options.frame_stack}, "
        f"frame skip {options.frame_skip} (maximum of the last two), "
        f"sticky actions {options.sticky_probability:g}, "
        f"lost life {'terminal for the learner' if life_loss else 'not terminal'}, "
        f"reset by {'FIRE and ' if fires else ''}0 to {most_noops} no-ops{'' if fires else ' without FIRE'}, "
        f"{action_set} action set ({len(games.action_names)}), "
        f"limit {options.max_frames_per_episode} frames, raw rewards"
    )


def _roms_by_name() -> dict[str, str]:
    """{"MsPacman": "ms_pacman", ...}: the names of the ids, as ale-py makes them from its ROM files."""
    roms = require("ale_py.roms", "atari")
    return {rom.title().replace("_", ""): rom for rom in roms.get_all_rom_ids()}


def _rom_of(env_id: str) -> str:
    """The ROM of an id such as "ALE/MsPacman-v5"; ConfigError for one that ale-py lacks or cannot run."""
    match = re.fullmatch(r"ALE/(\w+)-v5", env_id)
    rom = _roms_by_name().get(match[1]) if match else None
    if rom is None:
        raise ConfigError(f"env_id: expected one of atari_ids(), such as 'ALE/Pong-v5', got {env_id!r}")
    ale_py = require("ale_py", "atari")
    if ale_py.ALEInterface.isSupportedROM(str(ale_py.roms.get_rom_path(rom))) is None:
        raise ConfigError(f"env_id: ale-py {ale_py.__version__} has the ROM of {env_id!r} but cannot run it")
    return rom


def _open(rom: str, options: EnvConfig, **image: Any) -> Any:
    """ale-py's vector environment; everything that moves the emulator comes from `options`."""
    settings = {
        "num_envs": options.num_envs,
        "stack_num": options.frame_stack,
        "frameskip": options.frame_skip,
        "repeat_action_probability": options.sticky_probability,
        "full_action_space": options.full_action_set,
        "max_num_frames_per_episode": options.max_frames_per_episode,
        "noop_max": options.num_noops + 1,
        "use_fire_reset": options.fire_reset,
        "reward_clipping": False,
        "episodic_life": False,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    return require("ale_py", "atari").AtariVectorEnv(rom, **{**settings, **image})


def _open_mirror(rom: str, options: EnvConfig) -> Any:
    """Game 0 alone, in colour and at its native size (most ROMs 210 x 160)."""
    ale_py = require("ale_py", "atari")
    console = ale_py.ALEInterface()
    console.loadROM(str(ale_py.roms.get_rom_path(rom)))
    height, width = console.getScreenDims()
    return _open(rom, options, num_envs=1, img_height=height, img_width=width, grayscale=False, stack_num=1)
