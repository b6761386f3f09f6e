"""Which actions are legal, where an environment with Discrete actions says so.

    info["action_mask"]                      after reset() and after every step(), as Taxi has it
    an entry "action_mask" of a Dict         beside the observation itself

A mask has a number for each action, in order: 1 where it is legal, 0 where not. Where there is none, or none of its
actions is legal (as at an end), all are.

An agent that takes masks gets {"obs": the observation, "action_mask": int8 [A]}; they are stored and drawn together.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mujigae.envs.contract import Contract

__all__ = ["MASK", "OBS", "Place", "mask_place", "masked", "without_mask"]

MASK, OBS = "action_mask", "obs"
Place = Literal["info", "obs"]
Env = gymnasium.Env[Any, Any]


def mask_place(env: Contract) -> Place | None:
    """Where the masks of `env` are; None without any. Resets it: what comes with the observation shows in no space."""
    if not isinstance(env.action_space, spaces.Discrete):
        return None
    space, num_actions = env.observation_space, int(env.action_space.n)
    if isinstance(space, spaces.Dict) and len(space.spaces) > 1 and MASK in space.spaces:
        return "obs" if _is_mask_space(space.spaces[MASK], num_actions) else None
    try:
        env.reset(seed=0)
        _mask_of(env, num_actions)
    except Exception:  # what is wrong with it is said of the environments that are played
        return None
    return None if env.info.get(MASK) is None else "info"


def without_mask(env: Contract, place: Place | None) -> Env:
    """`env` with observations that have no mask: it goes into `env.info`. A single part that is left is the observation."""
    return _WithoutMask(env) if place == "obs" else env


def masked(view: Env, env: Contract) -> Env:
    """`view`, which is made of `env`, with observations {"obs", "action_mask"}."""
    return _Masked(view, env)


class _WithoutMask(gymnasium.ObservationWrapper[Any, Any, Any]):
    def __init__(self, env: Contract) -> None:
        super().__init__(env)
        self._contract = env
        assert isinstance(env.observation_space, spaces.Dict)
        parts = {name: part for name, part in env.observation_space.spaces.items() if name != MASK}
        self._only = next(iter(parts)) if len(parts) == 1 else None
        self.observation_space = spaces.Dict(parts) if self._only is None else parts[self._only]

    def observation(self, observation: Any) -> Any:
        self._contract.info = {MASK: observation[MASK]}
        rest = {name: part for name, part in observation.items() if name != MASK}
        return rest if self._only is None else rest[self._only]


class _Masked(gymnasium.Wrapper[Any, Any, Any, Any]):
    def __init__(self, view: Env, env: Contract) -> None:
        super().__init__(view)
        assert isinstance(env.action_space, spaces.Discrete)
        self._contract, self._num_actions = env, int(env.action_space.n)
        self.observation_space = spaces.Dict(
            {OBS: view.observation_space, MASK: spaces.MultiBinary(self._num_actions)}
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        obs, info = self.env.reset(seed=seed, options=options)
        return self._with_mask("reset()", obs), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._with_mask("step()", obs), reward, terminated, truncated, info

    def _with_mask(self, what: str, obs: Any) -> dict[str, Any]:
        mask = self._contract.checked(what, lambda: _mask_of(self._contract, self._num_actions))
        return {OBS: obs, MASK: mask}


def _mask_of(env: Contract, num_actions: int) -> NDArray[np.int8]:
    """The mask in `env.info`, int8 [A]; ValueError for what is no mask."""
    given = env.info.get(MASK)
    try:
        mask = np.ones(num_actions) if given is None else np.asarray(given)
    except ValueError:  # lists of different lengths
        mask = np.empty(0)
    is_mask = mask.shape == (num_actions,) and mask.dtype.kind in "biuf" and np.isin(mask, (0, 1)).all()
    if not is_mask:
        words = " ".join(repr(given).split())[:80]
        raise ValueError(f"{MASK}: expected a 0 or 1 for each of {num_actions} actions, got {words}")
    return mask.astype(np.int8) if mask.any() else np.ones(num_actions, np.int8)


def _is_mask_space(space: Any, num_actions: int) -> bool:
    """Whether it has a number for each action, and none below 0 or above 1."""
    if space.shape != (num_actions,) or not isinstance(
        space, spaces.Box | spaces.MultiBinary | spaces.MultiDiscrete
    ):
        return False
    if isinstance(space, spaces.Box):
        return bool(space.low.min() >= 0 and space.high.max() <= 1)
    return isinstance(space, spaces.MultiBinary) or bool(space.nvec.max() <= 2 and not space.start.any())
