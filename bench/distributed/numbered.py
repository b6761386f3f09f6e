"""An environment whose every row says which one it is, and an agent that checks each batch by it.

    observation   [token / 2^24, token % 2^24, t]: t counts the steps of one environment over all its episodes
    reward        of (token, t)
    priority      of (token, t): whatever is handed in for a row, at first and later, is the same number

So what a shard's file holds in the end tells whether a row is missing, there twice, or has another row's priority.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from mujigae.agents.agent import Agent, Update
from mujigae.config.checks import NotNegativeNumber
from mujigae.config.run import AgentConfig

EPISODE_STEPS, PART = 13, 2**24


class Numbered(gymnasium.Env[Any, Any]):
    """`delay_seconds`: that a step takes."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, delay_seconds: float = 0.0) -> None:
        self.observation_space = gymnasium.spaces.Box(-1.0, PART, (3,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self._token, self._t, self._delay_seconds = secrets.randbelow(2**40), 0, delay_seconds

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return observation(self._token, self._t), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        time.sleep(self._delay_seconds)
        reward = float(reward_of(np.array([observation(self._token, self._t)]))[0])
        self._t += 1
        return observation(self._token, self._t), reward, self._t % EPISODE_STEPS == 0, False, {}


gymnasium.register("Numbered-v0", entry_point=Numbered)


def observation(token: int, t: int) -> Any:
    return np.array([token // PART, token % PART, t], np.float32)


def reward_of(obs: Any) -> Any:
    """[R], of observations [R, 3]."""
    return np.asarray(obs[:, 2] % 7 - obs[:, 1] % 5, np.float64)


def priority_of(obs: Any) -> Any:
    """[R], of observations [R, 3]; 0.5 to 11."""
    obs = np.asarray(obs, np.float64)
    return 0.5 + (obs[:, 2] * 3 + obs[:, 1] % 11) % 11


@dataclass(frozen=True)
class CheckerConfig(AgentConfig):
    update_seconds: NotNegativeNumber = 0.0
    """Time that an update takes."""


class Checker(Agent):
    """Acts at random; raises where a batch is not what its observations say."""

    config_class = CheckerConfig
    metrics = ("loss",)

    def __init__(self, run: Any, observation_space: Any, action_space: Any) -> None:
        self._rng = np.random.default_rng(run.seed)
        self._update_seconds = run.agent.update_seconds

    def act(self, obs: Any, step: int) -> Any:
        return self._rng.integers(2, size=len(obs))

    def act_for_evaluation(self, obs: Any, rng: np.random.Generator) -> Any:
        return rng.integers(2, size=len(obs))

    def priorities(self, batch: Any) -> Any:
        return priority_of(batch.obs)

    def learn(self, batch: Any) -> Update:
        obs, next_obs = np.asarray(batch.obs), np.asarray(batch.next_obs)
        assert np.array_equal(np.asarray(batch.reward), reward_of(obs).astype(np.float32))
        assert np.array_equal(next_obs[:, :2], obs[:, :2])
        assert np.array_equal(next_obs[:, 2], obs[:, 2] + 1)
        assert np.array_equal(np.asarray(batch.terminated), next_obs[:, 2] % EPISODE_STEPS == 0)
        time.sleep(self._update_seconds)
        return Update(priority_of(obs), {"loss": 0.0})


def faults_in(buffer: Any) -> dict[str, int]:
    """Rows missing inside of an environment's steps, rows there twice, and rows with a priority that is not theirs."""
    faults = {"rows": 0, "missing": 0, "twice": 0, "wrong_priorities": 0}
    last: dict[int, int] = {}  # of each environment, the newest row
    for episode in sorted(buffer.episodes(), key=lambda episode: float(episode.obs[0, 2])):
        obs = episode.obs[:-1]
        token, times = int(obs[0, 0]) * PART + int(obs[0, 1]), obs[:, 2].astype(int)
        steps = np.diff(times, prepend=last.get(token, -1))
        last[token] = max(int(times[-1]), last.get(token, -1))
        faults["rows"] += len(times)
        faults["missing"] += int((steps[steps > 1] - 1).sum())
        faults["twice"] += int((steps < 1).sum())
        faults["wrong_priorities"] += int((buffer.priorities(episode.key) != priority_of(obs)).sum())
    return faults
