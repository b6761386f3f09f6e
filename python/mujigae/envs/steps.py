"""Honest transitions from any Gymnasium vector environment, whatever its autoreset mode (Gymnasium 1.4.0).

    NEXT_STEP   the step after an end ignores the action and returns the reset observation: no row for it
    SAME_STEP   the reset has happened already; the true last observation is in info["final_obs"]
    DISABLED    nobody resets: the stream does, with a mask, before anybody acts on the dead episode

`StepReader` is that knowledge on its own, for those who step the environments themselves. The rows of the same deterministic environments are identical under all three. A terminal that does not end
the game (a lost life) ends the learner's episode only: `game_over` tells the two apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from mujigae.structures import map_arrays

__all__ = ["Episode", "GameOver", "StepReader", "StepStream", "Steps", "reader_of"]

GameOver = Callable[[Mapping[str, Any], NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.bool_]]
"""(info, terminated [E], truncated [E]) -> bool [E]: which of these ends are followed by a reset."""


class Episode(NamedTuple):
    """One finished game: `score` is the undiscounted sum of its raw rewards, `length_steps` its decisions."""

    env_id: int
    score: float
    length_steps: int


class Steps(NamedTuple):
    """The transitions of one vector step, R <= E rows; R can be 0 while every environment is being reset.

    An observation or action is an array [R, ...], or a dict or tuple of those. Arrays are the stream's own,
    never the environment's memory; treat them as read-only: `next_obs` may share memory with the next rows'
    `obs`.
    """

    env_ids: NDArray[np.int64]  # [R], ascending
    obs: Any  # [R, ...]
    action: Any  # [R, ...]
    reward: NDArray[np.float64]  # [R], raw
    next_obs: Any  # [R, ...], the true successor, at the end of an episode too
    terminated: NDArray[np.bool_]  # [R], for the learner: lost lives too
    truncated: NDArray[np.bool_]  # [R], never together with terminated
    episodes: tuple[Episode, ...]  # games that ended in this step


class StepReader:
    """What the steps of E environments mean: their transitions, and the score of every game. It steps nothing itself.

    Args:
        num_envs: E.
        autoreset_mode: what the environments do at the end of an episode.
        action_space: of one environment: integer actions are kept in its dtype.
        game_over: which ends are followed by a reset; by default all.
    """

    def __init__(
        self,
        num_envs: int,
        autoreset_mode: AutoresetMode,
        *,
        action_space: Any = None,
        game_over: GameOver | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.autoreset_mode = autoreset_mode
        self._action_space = action_space
        self._game_over = game_over
        self._obs: Any = None
        self._over: NDArray[np.bool_]
        self._forget_open_episodes()

    @property
    def obs(self) -> Any:
        """What to act on next, as `StepStream.obs`."""
        if self._obs is None:
            raise RuntimeError("no observation yet: call reset() first")
        return self._obs

    @property
    def over(self) -> NDArray[np.bool_]:
        """bool [E]: the episode has ended and its environment was not reset yet: the next step makes no row."""
        return self._over.copy()

    @property
    def open_lengths(self) -> NDArray[np.int64]:
        """Steps so far of the games that are open, int64 [E]."""
        return self._lengths.copy()

    def begin(self, obs: Any, mask: NDArray[np.bool_] | None = None) -> None:
        """Takes the observations [E, ...] that a reset of all environments returned, or of those in `mask` [E]."""
        if mask is None:
            self._forget_open_episodes()
            self._obs = map_arrays(np.array, obs)
            return
        self._obs = map_arrays(lambda last, first: np.where(_like(mask, last), first, last), self.obs, obs)
        self._over = self._over & ~mask
        self._scores[mask] = 0.0
        self._lengths[mask] = 0

    def taken(self, action: Any) -> Any:
        """A copy of `action` [E, ...], integers in the dtype of the action space; ValueError where they do not fit it."""
        copy = map_arrays(np.array, action)
        is_integer = isinstance(copy, np.ndarray) and copy.dtype.kind in "iu"
        if not is_integer or not isinstance(self._action_space, Discrete | MultiDiscrete):
            return copy
        cast = copy.astype(self._action_space.dtype)
        if not np.array_equal(cast, copy):
            raise ValueError(
                f"action: expected integers that fit {self._action_space.dtype}, got {copy.tolist()}"
            )
        return cast

    def read(self, obs: Any, action: Any, answer: Any) -> Steps:
        """The rows of the environments' answer to `action` on `obs`; `self.obs` is then what to act on next."""
        new_obs, raw_reward, raw_terminated, raw_truncated, info = answer
        reward = np.array(raw_reward, dtype=np.float64)
        terminated = np.array(raw_terminated, dtype=bool)
        truncated = np.array(raw_truncated, dtype=bool)
        live = ~self._over
        ended = live & (terminated | truncated)
        if self._game_over is not None:
            ended &= self._game_over(info, terminated, truncated)
        next_obs = self._advance(map_arrays(np.array, new_obs), ended, info)
        episodes = self._keep_score(reward, live, ended)
        everything = (obs, action, reward, next_obs, terminated, truncated & ~terminated)
        rows = everything if live.all() else map_arrays(lambda array: array[live], everything)
        return Steps._make((np.flatnonzero(live), *rows, episodes))

    def _advance(self, new_obs: Any, ended: NDArray[np.bool_], info: Mapping[str, Any]) -> Any:
        """Sets what to act on next, and which episodes are over; returns the true successors [E, ...]."""
        self._obs = new_obs
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            self._over = ended
        elif self.autoreset_mode is AutoresetMode.DISABLED:
            self._over = self._over | ended
        elif ended.any():
            return _with_final_obs(new_obs, ended, info)
        return new_obs

    def _keep_score(
        self, reward: NDArray[np.float64], live: NDArray[np.bool_], ended: NDArray[np.bool_]
    ) -> tuple[Episode, ...]:
        self._scores[live] += reward[live]
        self._lengths[live] += 1
        finished = np.flatnonzero(ended)
        episodes = tuple(Episode(int(e), float(self._scores[e]), int(self._lengths[e])) for e in finished)
        self._scores[finished] = 0.0
        self._lengths[finished] = 0
        return episodes

    def _forget_open_episodes(self) -> None:
        self._over = np.zeros(self.num_envs, dtype=bool)
        self._scores = np.zeros(self.num_envs, dtype=np.float64)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)


class StepStream:
    """Steps a vector environment of E environments and keeps the score of every game.

    Args:
        env: any Gymnasium 1.x vector environment.
        game_over: which ends are followed by a reset; by default all.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], *, game_over: GameOver | None = None) -> None:
        self.env = env
        self.num_envs = int(env.num_envs)
        self.autoreset_mode = autoreset_mode_of(env)
        self._reader = reader_of(env, game_over)
        self._thread: ThreadPoolExecutor | None = None
        self._sent: tuple[Any, Any, Future[Any]] | None = None

    @property
    def obs(self) -> Any:
        """What to act on next: [E, ...], or a dict or tuple of such arrays.

        Where a NEXT_STEP environment is about to be reset this is the last observation of the old episode;
        the action taken on it is ignored and makes no row.
        """
        return self._reader.obs

    @property
    def open_lengths(self) -> NDArray[np.int64]:
        """Steps so far of the games that are open, int64 [E]."""
        return self._reader.open_lengths

    def reset(self, seed: int | None = None) -> Any:
        """Resets all environments, each with its own seed drawn from `seed` >= 0; forgets open episodes."""
        self._check_idle("reset")
        first_seed = None if seed is None else first_env_seed(seed, self.num_envs)
        obs, _ = self.env.reset(seed=first_seed)
        self._reader.begin(obs)
        return self.obs

    def step(self, action: Any) -> Steps:
        """Takes one action [E, ...] in every environment; one that is being reset ignores it: no row."""
        self._check_idle("step")
        action = self._reader.taken(action)
        return self._steps_of(self.obs, action, self.env.step(_own(action)))

    def send(self, action: Any) -> None:
        """As `step`, but in a thread of the stream's own; `receive` has to follow. Until then `obs` stays."""
        self._check_idle("send")
        obs, action = self.obs, self._reader.taken(action)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mujigae-envs")
        self._sent = (obs, action, self._thread.submit(self.env.step, _own(action)))

    def receive(self) -> Steps:
        """Waits for the step that was sent; what it raised is raised here."""
        if self._sent is None:
            raise RuntimeError("StepStream has no step under way: call send() first")
        (obs, action, answer), self._sent = self._sent, None
        return self._steps_of(obs, action, answer.result())

    def _steps_of(self, obs: Any, action: Any, answer: Any) -> Steps:
        """The rows of an environment's answer to `action` on `obs`; resets what nobody else does."""
        steps = self._reader.read(obs, action, answer)
        over = self._reader.over
        if self.autoreset_mode is AutoresetMode.DISABLED and over.any():
            fresh, _ = self.env.reset(options={"reset_mask": over.copy()})
            self._reader.begin(fresh, over)
        return steps

    def close(self) -> None:
        """Closes the environments; waits for a step that is under way."""
        if self._thread is not None:
            self._thread.shutdown()
        self.env.close()

    def _check_idle(self, what: str) -> None:
        if self._sent is not None:
            raise RuntimeError(f"StepStream has a step under way: call receive() before {what}()")


def reader_of(env: VectorEnv[Any, Any, Any], game_over: GameOver | None = None) -> StepReader:
    """A reader of the steps of `env`."""
    return StepReader(
        int(env.num_envs),
        autoreset_mode_of(env),
        action_space=getattr(env, "single_action_space", None),
        game_over=game_over,
    )


def autoreset_mode_of(env: VectorEnv[Any, Any, Any]) -> AutoresetMode:
    """The mode that `env` declares in its metadata, or NEXT_STEP, as Gymnasium 1.4.0 assumes where none is.

    ale-py 0.12.1 writes its mode into `VectorEnv.metadata`, the dict that all vector environments without one
    of their own share, so what stands there says nothing about `env`; its attribute does.
    """
    declared = getattr(env.unwrapped, "autoreset_mode", None)
    if env.metadata is not VectorEnv.metadata:
        declared = env.metadata.get("autoreset_mode", declared)
    return AutoresetMode.NEXT_STEP if declared is None else AutoresetMode(declared)


def first_env_seed(seed: int, num_envs: int) -> int:
    """The seed that a vector environment gets; it gives consecutive seeds from here on to its environments.

    Consecutive seeds are distinct, and hashing keeps the environments of `seed` apart from those of `seed +
    1`. An integer is what every vector environment accepts, and 31 bits what ale-py does.
    """
    words = np.random.SeedSequence(seed).generate_state(1, np.uint32)
    return int(words[0]) % (2**31 - num_envs)


def _with_final_obs(new_obs: Any, ended: NDArray[np.bool_], info: Mapping[str, Any]) -> Any:
    """`new_obs` [E, ...] with the last observations of the episodes that ended, which are in `info`."""
    if "final_obs" not in info:
        raise RuntimeError(
            'a SAME_STEP vector environment must put the last observation in info["final_obs"]'
        )
    final_obs = info["final_obs"]
    result = map_arrays(np.copy, new_obs)
    for e in np.flatnonzero(ended):
        map_arrays(functools.partial(_put, e), result, _final_obs_of(final_obs, new_obs, e))
    return result


def _final_obs_of(final_obs: Any, like: Any, e: np.intp) -> Any:
    """One environment's observation out of an object array of observations or a structure of arrays."""
    if isinstance(final_obs, dict):
        return {name: _final_obs_of(final_obs[name], part, e) for name, part in like.items()}
    if isinstance(final_obs, tuple) and isinstance(like, tuple):
        return tuple(_final_obs_of(final, part, e) for final, part in zip(final_obs, like, strict=True))
    return final_obs[e]


def _like(mask: NDArray[np.bool_], array: NDArray[Any]) -> NDArray[np.bool_]:
    """`mask` [E] with as many axes as `array` [E, ...]."""
    return mask.reshape(-1, *[1] * (array.ndim - 1))


def _put(e: np.intp, array: NDArray[Any], value: Any) -> None:
    array[e] = value


def _own(action: Any) -> Any:
    """A copy for the environment, which may write into its action; the row keeps what was taken."""
    return map_arrays(np.array, action)
