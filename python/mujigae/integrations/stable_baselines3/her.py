"""Hindsight experience replay (Andrychowicz et al. 2017) for Stable-Baselines3 with its observations in mujigae's engine.

    SAC("MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, replay_buffer_kwargs={"n_sampled_goal": 4})

Rows are drawn here, uniformly, as in Stable-Baselines3; the engine keeps them and gathers them. Row t of an environment is its
t-th step; beside its key this buffer knows where the episode of the row begins and ends, and its desired goal, which is kept once
an episode.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import her
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.her.goal_selection_strategy import KEY_TO_GOAL_STRATEGY, GoalSelectionStrategy

from mujigae.integrations.stable_baselines3.episodes import OPEN, Episodes
from mujigae.integrations.stable_baselines3.observations import Part
from mujigae.integrations.stable_baselines3.replay import ReplayBuffer

__all__ = ["HerReplayBuffer"]

_GOAL = "desired_goal"


class HerReplayBuffer(ReplayBuffer, her.HerReplayBuffer):
    """For `replay_buffer_class=`, in the place of SB3's `HerReplayBuffer`.

    Args:
        buffer_size, observation_space, action_space, env, device, n_envs, optimize_memory_usage, handle_timeout_termination: from SB3.
        n_sampled_goal: k: k / (k + 1) of a batch get a goal that was reached later.
        goal_selection_strategy: "future" (a later step of the episode, the row's own among them), "final" or "episode".
        copy_info_dict: keep the infos and give them to `compute_reward`.
        seed: of the draws; None draws it from NumPy's global generator, which SB3 seeds with the model's seed.
        **options: further ones of `mujigae.integrations.stable_baselines3.ReplayBuffer`, but for n_steps.

    An episode that is still open counts as ending with its newest row, so that batches can be drawn before the first end; one whose
    oldest rows were overwritten begins with the oldest that is left. Where SB3 keeps each observation twice, it is kept once, and the
    desired goal once an episode; one that changes within an episode is right too. `float32=True` halves float64 observations.
    """

    infos: Any  # [buffer_size, E] dicts
    _keys: Any  # [buffer_size, E]: of row t, at place t % buffer_size
    _episodes: Episodes
    _is_open: Any  # bool [E]: the episode of the newest row goes on
    _last: dict[str, Any]  # the newest successors [E, ...]
    _num_steps: int

    def __init__(
        self,
        buffer_size: int,
        observation_space: Any,
        action_space: Any,
        env: VecEnv,
        device: Any = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        n_sampled_goal: int = 4,
        goal_selection_strategy: GoalSelectionStrategy | str = "future",
        copy_info_dict: bool = False,
        *,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        if options.get("n_steps", 1) != 1:
            raise ValueError(f"n_steps: expected 1 with goals in hindsight, got {options['n_steps']}")
        super().__init__(
            *(buffer_size, observation_space, action_space, device, n_envs),
            optimize_memory_usage,
            handle_timeout_termination,
            seed=seed,
            **options,
        )
        self.env = env
        self.goal_selection_strategy = _strategy(goal_selection_strategy)
        self.n_sampled_goal, self.her_ratio = n_sampled_goal, 1 - 1 / (n_sampled_goal + 1)
        self.copy_info_dict = copy_info_dict
        self._random = np.random.default_rng(np.random.randint(2**31) if seed is None else seed)
        self._forget()

    def add(
        self, obs: Any, next_obs: Any, action: Any, reward: Any, done: Any, infos: list[dict[str, Any]]
    ) -> None:
        """As `ReplayBuffer.add`."""
        was_reset = self._differs_from_last(obs)
        super().add(obs, next_obs, action, reward, done, infos)
        row, is_done = self._num_steps, np.asarray(done, dtype=bool)
        self._keys[row % self.buffer_size] = self.replay.last_key()
        if self.copy_info_dict:
            self.infos[row % self.buffer_size] = infos
        self._episodes.close(was_reset, row - 1)
        goals, next_goals = (self._parts[_GOAL].stored(one[_GOAL], self.n_envs) for one in (obs, next_obs))
        self._episodes.add(row, goals, next_goals)
        self._episodes.close(is_done, row)
        self._is_open = ~is_done
        self._last = {name: np.array(array) for name, array in next_obs.items()}
        self._num_steps += 1

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> DictReplayBufferSamples:  # type: ignore[override]
        """Draws rows with replacement, the last n_sampled_goal / (n_sampled_goal + 1) of them with other goals.

        Raises ValueError before the first row.
        """
        if self._num_steps == 0:
            raise ValueError("sample: expected at least one row in the buffer, got none")
        rows = self._random.integers(self._first, self._num_steps, batch_size)
        envs = self._random.integers(self.n_envs, size=batch_size)
        batch, records = self._gathered(rows, envs), self._episodes.of(rows, envs)
        for obs, goal in ((batch.obs, "goal"), (batch.next_obs, "next_goal")):
            obs[_GOAL] = records[goal].copy()
        num_real = batch_size - int(self.her_ratio * batch_size)
        if num_real < batch_size:
            self._give_new_goals(batch, rows, envs, num_real)
        return DictReplayBufferSamples(**self._tensors(batch, env))

    def truncate_last_trajectory(self) -> None:
        """Ends the open episodes as truncated: the environments are reset."""
        self.replay.end_episodes()
        self._episodes.close(self._is_open, self._num_steps - 1)
        self._is_open[:] = False

    def reset(self) -> None:
        """Forgets every transition."""
        super().reset()
        self._forget()

    def _give_new_goals(self, batch: Any, rows: Any, envs: Any, first: int) -> None:
        """Writes goals that were reached, and the rewards for them, into the rows of the batch from `first` on."""
        rows, envs = rows[first:], envs[first:]
        goals = self._gathered(self._goal_rows(rows, envs), envs).next_obs["achieved_goal"]
        infos = list(self.infos[rows % self.buffer_size, envs]) if self.copy_info_dict else [{} for _ in rows]
        for obs in (batch.obs, batch.next_obs):
            obs[_GOAL][first:] = goals
        if self.env is None:
            raise ValueError("env: expected the environment, which computes rewards; call set_env()")
        achieved = batch.next_obs["achieved_goal"][first:]
        batch.reward[first:] = self.env.env_method("compute_reward", achieved, goals, infos, indices=[0])[0]

    def _goal_rows(self, rows: Any, envs: Any) -> Any:
        """[B] rows of the same episodes, whose achieved goals become the desired ones."""
        episodes = self._episodes.of(rows, envs)
        ends = np.where(episodes["last"] == OPEN, self._num_steps - 1, episodes["last"])
        if self.goal_selection_strategy == GoalSelectionStrategy.FINAL:
            return ends
        if self.goal_selection_strategy == GoalSelectionStrategy.FUTURE:
            return self._random.integers(rows, ends + 1)
        starts = np.maximum(episodes["first"], self._first)
        return self._random.integers(starts, ends + 1)

    def _gathered(self, rows: Any, envs: Any) -> Any:
        """What the engine stores of these rows [B] of environments [B]."""
        return self.replay.gather(self._keys[rows % self.buffer_size, envs])

    @property
    def _stored_parts(self) -> dict[str, Part]:
        return {name: part for name, part in self._parts.items() if name != _GOAL}

    def _differs_from_last(self, obs: Any) -> Any:
        """bool [E]: the environment was reset without an end, as at the beginning of another `learn`."""
        differs = np.zeros(self.n_envs, dtype=bool)
        for name, last in self._last.items():
            differs |= [
                a.tobytes() != b.tobytes() for a, b in zip(np.asarray(obs[name]), last, strict=True)
            ]  # NaN is NaN
        return differs & self._is_open

    @property
    def nbytes(self) -> int:
        """Bytes of everything that is stored, without the infos."""
        return self.replay.nbytes + self._episodes.nbytes + int(self._keys.nbytes)

    @property
    def _first(self) -> int:
        """The oldest row that is held."""
        return max(0, self._num_steps - self.buffer_size)

    def _forget(self) -> None:
        shape = self.buffer_size, self.n_envs
        goal = self._parts[_GOAL]
        self._keys = np.zeros(shape, dtype=np.int64)
        self._episodes = Episodes(*shape, goal.stored_shape, goal.dtype)
        self.infos = np.empty(shape if self.copy_info_dict else (0, 0), dtype=object)
        self._is_open = np.zeros(self.n_envs, dtype=bool)
        self._last = {}
        self._num_steps = 0


def _strategy(strategy: GoalSelectionStrategy | str) -> GoalSelectionStrategy:
    if isinstance(strategy, GoalSelectionStrategy):
        return strategy
    if strategy.lower() not in KEY_TO_GOAL_STRATEGY:
        raise ValueError(
            f"goal_selection_strategy: expected one of {list(KEY_TO_GOAL_STRATEGY)}, got {strategy!r}"
        )
    return KEY_TO_GOAL_STRATEGY[strategy.lower()]
