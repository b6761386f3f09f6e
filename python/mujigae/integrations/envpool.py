"""EnvPool 1.1 and 1.2: a wrapper that puts every transition of a pool into a buffer, of a synchronous or an asynchronous one.

    pool = envpool.make("Pong-v5", env_type="gymnasium", num_envs=64, batch_size=16)
    pool = RecordTransitions(pool, buffer)
    pool.async_reset()
    obs, reward, terminated, truncated, info = pool.recv()      # as before; the rows are in the buffer
    pool.send(action, info["env_id"])

`info["env_id"]` says which environments an answer is of, in any order: a row has the action that was last sent to its
environment, the observation on which that was chosen, and the lane of its environment in the buffer. The answer after the end of
an episode (a lost life with `episodic_life=True` too) ignores the action and begins the next one: no row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mujigae.errors import require

require("envpool", "envpool", first="1.1", below="1.3")  # first: the imports below would fail less clearly

from gymnasium import Env, spaces  # noqa: E402
from gymnasium.vector import VectorEnv  # noqa: E402

from mujigae.replay.buffer import ReplayBuffer  # noqa: E402
from mujigae.structures import map_arrays  # noqa: E402

__all__ = ["RecordTransitions"]


class RecordTransitions(VectorEnv[Any, Any, Any]):
    """Puts every transition of a pool of E environments into a buffer.

    Args:
        env: of `envpool.make(..., env_type="gymnasium")`.
        buffer: a buffer of mujigae with the spaces of one environment, and `num_envs=E`.

    Every method returns what the pool's returns. A reset ends the open episodes of its environments as truncated. At most one action is under way in an
    environment; actions are arrays. Spaces are the pool's, whose `observation_space` and `action_space` are those of one
    environment.

    Raises TypeError for anything but such a pool or for action spaces that are no single array, and ValueError for pools with
    several players or a buffer of another number of environments, before anything is stepped.
    """

    def __init__(self, env: Any, buffer: ReplayBuffer) -> None:
        _check_pool(env, buffer)
        self.env, self.buffer = env, buffer
        self.num_envs = len(env)
        self.single_observation_space = self.observation_space = env.observation_space
        self.single_action_space = self.action_space = env.action_space
        self.metadata, self.spec, self.render_mode = env.metadata, env.spec, env.render_mode
        self._obs = _store(env.observation_space, self.num_envs)  # [E, ...]: the newest
        self._action = _store(env.action_space, self.num_envs)  # [E, ...]: the last that was sent
        self._begins = np.ones(self.num_envs, bool)  # [E]: the next answer is the first of an episode
        self._under_way = np.zeros(self.num_envs, bool)  # [E]: an answer is to come

    @property
    def unwrapped(self) -> Any:
        """The pool."""
        return self.env

    @property
    def config(self) -> dict[str, Any]:
        """As the pool's."""
        config: dict[str, Any] = self.env.config
        return config

    @property
    def all_env_ids(self) -> NDArray[np.int32]:
        """As the pool's."""
        ids: NDArray[np.int32] = self.env.all_env_ids
        return ids

    @property
    def is_async(self) -> bool:
        """As the pool's."""
        return bool(self.env.is_async)

    def reset(self, env_id: Any = None, **keywords: Any) -> Any:
        """As the pool's, of all environments or of some. Raises RuntimeError while an action is under way in one of them."""
        mask = (keywords.get("options") or {}).get("reset_mask")
        given = env_id if mask is None else np.flatnonzero(mask)
        ids = self._idle("reset", given)
        answer = self.env.reset(*() if env_id is None else (env_id,), **keywords)
        self._begin(ids)
        self._read(answer)
        return answer

    def async_reset(self) -> None:
        """As the pool's. Raises RuntimeError while an action is under way."""
        ids = self._idle("async_reset", None)
        self.env.async_reset()
        self._begin(ids)

    def send(self, action: Any, env_id: Any = None) -> None:
        """As the pool's.

        Raises TypeError or ValueError for actions that do not fit, ids that are out of range or come twice, and RuntimeError
        while an action is under way in one of the environments, before anything is sent.
        """
        ids = self._idle("send", env_id)
        _put("action", self._action, ids, action)
        self.env.send(action, env_id)
        self._under_way[ids] = True

    def recv(self, reset: bool = False, return_info: bool = True) -> Any:
        """As the pool's; the transitions are in the buffer when it returns."""
        answer = self.env.recv(reset, return_info)
        self._read(answer)
        return answer

    def step(self, action: Any, env_id: Any = None) -> Any:
        """As the pool's: `send`, then `recv`."""
        self.send(action, env_id)
        return self.recv()

    def render(self, *arguments: Any, **options: Any) -> Any:
        """As the pool's."""
        return self.env.render(*arguments, **options)

    def close(self, **options: Any) -> None:
        """As the pool's."""
        self.env.close(**options)

    def _begin(self, ids: NDArray[np.int64]) -> None:
        self.buffer.end_episodes(ids)
        self._begins[ids] = self._under_way[ids] = True

    def _read(self, answer: Any) -> None:
        """Stores the rows of an answer: (obs, info) of resets, or the five parts of steps [R, ...]."""
        new_obs, info = answer[0], answer[-1]
        ids = np.array(info["env_id"], np.int64)
        live = ~self._begins[ids]
        if len(answer) == 2:
            live[:] = False
        obs = _take(self._obs, ids[live])
        _put("obs", self._obs, ids, new_obs)
        self._begins[ids] = self._under_way[ids] = False
        if live.any():
            reward, terminated, truncated = (np.array(part)[live] for part in answer[1:4])
            rows = ids[live]
            self._begins[rows] = terminated | truncated
            next_obs = _take(self._obs, rows)
            self.buffer.add(obs, self._action[rows], reward, next_obs, terminated, truncated, rows)

    def _idle(self, what: str, env_id: Any) -> NDArray[np.int64]:
        """The ids [R] of the environments that are meant; an error where one of them has an answer to come."""
        ids = np.arange(self.num_envs) if env_id is None else np.array(env_id, np.int64).reshape(-1)
        wrong = np.flatnonzero((ids < 0) | (ids >= self.num_envs))
        if len(wrong):
            raise ValueError(
                f"env_id: expected ids of 0 to {self.num_envs - 1}, got {ids[wrong[0]]} at {wrong[0]}"
            )
        if len(np.unique(ids)) < len(ids):
            raise ValueError(f"env_id: expected distinct ids, got {ids.tolist()}")
        if self._under_way[ids].any():
            busy = ids[self._under_way[ids]].tolist()
            raise RuntimeError(
                f"{what}: expected environments whose answer was received, got {busy}, where one is under way: call recv()"
            )
        return ids


def _check_pool(env: Any, buffer: ReplayBuffer) -> None:
    is_gymnasium = isinstance(env, Env)
    if not (is_gymnasium and hasattr(env, "async_reset")):
        raise TypeError(
            f'env: expected a pool of envpool.make(..., env_type="gymnasium"), got {type(env).__name__}'
        )
    if isinstance(env.action_space, spaces.Dict | dict):
        raise TypeError(f"env: expected an action space of one array, got {env.action_space}")
    players = env.config.get("max_num_players", 1)
    if players != 1:
        raise ValueError(f"env: expected a pool of one player an environment, got max_num_players={players}")
    if buffer.num_envs != len(env):
        raise ValueError(
            f"buffer: expected num_envs={len(env)}, as the pool has environments, got {buffer.num_envs}"
        )


def _store(space: Any, num_envs: int) -> Any:
    """Arrays [E, ...] of the shapes and dtypes of a space, or dicts of them."""
    if isinstance(space, spaces.Dict | dict):
        return {name: _store(part, num_envs) for name, part in space.items()}
    return np.zeros((num_envs, *space.shape), space.dtype)


def _put(what: str, store: Any, ids: NDArray[np.int64], values: Any) -> None:
    """Writes values [R, ...] to the rows `ids` [R] of a store; TypeError or ValueError where they do not fit."""
    if isinstance(store, dict):
        for name, part in store.items():
            _put(f"{what}[{name!r}]", part, ids, values[name])
        return
    array = np.asarray(values)
    if array.shape != (len(ids), *store.shape[1:]):
        raise ValueError(f"{what}: expected shape {(len(ids), *store.shape[1:])}, got {array.shape}")
    if not np.can_cast(array.dtype, store.dtype, "same_kind"):
        raise TypeError(f"{what}: expected {store.dtype}, got {array.dtype}")
    store[ids] = array


def _take(store: Any, ids: NDArray[np.int64]) -> Any:
    """A copy of rows of a store [R, ...]."""
    return map_arrays(lambda array: array[ids], store)
