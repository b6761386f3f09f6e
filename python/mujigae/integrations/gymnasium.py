"""Gymnasium 1.1 and newer: a wrapper that puts every transition of an environment into a buffer.

    envs = RecordTransitions(gymnasium.make_vec("CartPole-v1", num_envs=8), buffer)
    obs, _ = envs.reset(seed=0)
    obs, reward, terminated, truncated, info = envs.step(actions)      # as before; the rows are in the buffer

`step` and `reset` return what the environment returned. What each step means is worked out by
`mujigae.envs.steps.StepReader`, for every autoreset mode: an episode's last row has its true successor, and the step
that resets an environment is no row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mujigae.errors import require

require("gymnasium", "gymnasium", first="1.1", below="2")  # first: the imports below would fail less clearly

from gymnasium import Env, Wrapper  # noqa: E402
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper  # noqa: E402
from gymnasium.wrappers import Autoreset  # noqa: E402

from mujigae.envs.contract import checked_obs, checked_reward  # noqa: E402
from mujigae.envs.steps import GameOver, StepReader, Steps, reader_of  # noqa: E402
from mujigae.replay.buffer import ReplayBuffer  # noqa: E402
from mujigae.structures import map_arrays  # noqa: E402

__all__ = ["RecordTransitions", "RecordVectorTransitions"]


class RecordTransitions(Wrapper[Any, Any, Any, Any]):
    """Puts every transition of an environment into a buffer; of a vector environment, too (`RecordVectorTransitions`).

    Args:
        env: a Gymnasium environment, a vector environment, or a pool of EnvPool (`mujigae.integrations.envpool`).
        buffer: a buffer of mujigae with the environment's (single) spaces and as many environments.

    A reset ends an open episode as truncated. After an episode has ended, steps are not recorded until the next
    reset, that of `gymnasium.wrappers.Autoreset` included. Observations reach the buffer in the dtypes of the
    observation space.

    Raises ValueError for a buffer of another number of environments, before anything is stepped.
    """

    def __new__(cls, env: Any = None, *arguments: Any, **options: Any) -> Any:
        """The wrapper for this kind of environment."""
        _check_pool_is_reached(env)
        if _is_pool(env):
            from mujigae.integrations.envpool import RecordTransitions as RecordPoolTransitions

            return RecordPoolTransitions(env, *arguments, **options)
        if isinstance(env, VectorEnv):
            return RecordVectorTransitions(env, *arguments, **options)
        return super().__new__(cls)

    def __init__(self, env: Env[Any, Any], buffer: ReplayBuffer) -> None:
        super().__init__(env)
        self.buffer = buffer
        _check_num_envs(buffer, 1)
        mode = AutoresetMode.NEXT_STEP if _resets_itself(env) else AutoresetMode.DISABLED
        self._reader = StepReader(1, mode, action_space=env.action_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """As the environment's."""
        obs, info = self.env.reset(seed=seed, options=options)
        self.buffer.end_episodes()
        self._reader.begin(self._vector_of(obs))
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's; the transition is in the buffer when it returns."""
        obs, taken = self._reader.obs, self._reader.taken(_first_axis(action))
        answer = self.env.step(action)
        new_obs, reward, terminated, truncated, info = answer
        rows = self._vector_of(new_obs), [checked_reward(reward)], [terminated], [truncated], info
        _add(self.buffer, self._reader.read(obs, taken, rows))
        return answer

    def _vector_of(self, obs: Any) -> Any:
        """The observation [1, ...] of one environment, in the dtypes of its space."""
        return _first_axis(checked_obs(self.observation_space, obs))


class RecordVectorTransitions(VectorWrapper[Any, Any, Any, Any, Any]):
    """Puts every transition of a vector environment into a buffer, under each autoreset mode.

    Args:
        env: a Gymnasium vector environment of E environments.
        buffer: a buffer of mujigae with the single spaces, and `num_envs=E`.
        game_over: (info, terminated [E], truncated [E]) -> bool [E]: which of these ends are followed by a reset; None: all.
            For environments that report a lost life as terminated and play on.

    NEXT_STEP: the step that resets an environment is no row. SAME_STEP: the successor of an episode's last row comes from
    `info["final_obs"]`. DISABLED: you reset with `options={"reset_mask": ...}`, as without this wrapper; steps of an
    environment that has ended are not recorded until then.

    Raises ValueError for a buffer of another number of environments, before anything is stepped.
    """

    def __init__(
        self, env: VectorEnv[Any, Any, Any], buffer: ReplayBuffer, *, game_over: GameOver | None = None
    ) -> None:
        super().__init__(env)
        self.buffer = buffer
        _check_num_envs(buffer, int(env.num_envs))
        self._reader = reader_of(env, game_over)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's, of all environments or of those in `options["reset_mask"]`."""
        mask = None if options is None else options.get("reset_mask")
        mask = None if mask is None else np.array(mask, dtype=bool)  # other wrappers take it out of the dict
        obs, info = self.env.reset(seed=seed, options=options)
        if mask is None:
            self.buffer.end_episodes()
        self._reader.begin(obs, mask)
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As the environment's; the transitions are in the buffer when it returns."""
        obs, taken = self._reader.obs, self._reader.taken(actions)
        answer = self.env.step(actions)
        _add(self.buffer, self._reader.read(obs, taken, answer))
        return answer


def _add(buffer: ReplayBuffer, steps: Steps) -> None:
    """Stores the rows of a step; there may be none, while every environment is being reset."""
    if len(steps.env_ids):
        buffer.add(
            steps.obs,
            steps.action,
            steps.reward,
            steps.next_obs,
            steps.terminated,
            steps.truncated,
            steps.env_ids,
        )


def _check_num_envs(buffer: ReplayBuffer, num_envs: int) -> None:
    if buffer.num_envs != num_envs:
        raise ValueError(
            f"buffer: expected num_envs={num_envs}, as the environment has, got {buffer.num_envs}"
        )


def _resets_itself(env: Env[Any, Any]) -> bool:
    """Whether `gymnasium.wrappers.Autoreset` is among the wrappers of `env`."""
    while isinstance(env, Wrapper):
        if isinstance(env, Autoreset):
            return True
        env = env.env
    return False


def _is_pool(env: Any) -> bool:
    """Whether `env` is made by EnvPool, some releases of which call their pools environments and others vectors."""
    return any(base.__module__.startswith("envpool.") for base in type(env).__mro__)


def _check_pool_is_reached(env: Any) -> None:
    """A wrapper around a pool hides `recv`, and which environments an answer is of; a vector's steps have all, in order."""
    pool: Any = getattr(env, "unwrapped", None)
    if _is_pool(env) or not _is_pool(pool):
        return
    if pool.is_async or not isinstance(env, VectorEnv):
        raise TypeError(f"env: expected the pool itself, got {type(env).__name__} around it: record it first")


def _first_axis(tree: Any) -> Any:
    """Arrays, or dicts and tuples of arrays, with a leading axis of length 1."""
    return map_arrays(lambda array: np.asarray(array)[None], tree)
