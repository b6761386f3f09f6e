"""Stable-Baselines3 2.9.2, whose buffers are uniform: `NStepReplayBuffer` for three steps, `ReplayBuffer` for one."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common import buffers
from subject import GAMMA, Drawn, Rows, Subject


class StableBaselines3(Subject):
    """Time limits are handled, as is its default. It stores both stacks of a row."""

    name = "stable-baselines3 (uniform)"
    version = metadata.version("stable-baselines3")
    packages = ("stable-baselines3", "torch", "numpy")
    is_prioritized = False

    def atari(self, capacity: int, num_envs: int = 1) -> Any:
        image: Any = spaces.Box(0, 255, (4, 84, 84), np.uint8)
        options: dict[str, Any] = {"n_envs": num_envs, "device": "cpu", "n_steps": 3, "gamma": GAMMA}
        action = spaces.Discrete(2**31 - 1)
        return Replay(buffers.NStepReplayBuffer(capacity, image, action, **options), num_envs)

    def vector(self, capacity: int) -> Any:
        return self._small(capacity, 17, spaces.Box(-np.inf, np.inf, (6,), np.float32))

    def uniform(self, capacity: int) -> Any:
        return self._small(capacity, 4, spaces.Discrete(2**31 - 1))

    def _small(self, capacity: int, num_obs: int, action: Any) -> Any:
        obs: Any = spaces.Box(-np.inf, np.inf, (num_obs,), np.float32)
        return Replay(buffers.ReplayBuffer(capacity, obs, action, device="cpu"), 1)


class Replay:
    """One of its buffers."""

    def __init__(self, buffer: Any, num_envs: int) -> None:
        self.buffer = buffer
        self.infos: dict[bool, list[dict[str, Any]]] = {
            limit: [{"TimeLimit.truncated": limit}] * num_envs for limit in (False, True)
        }

    def add(self, step: Rows) -> None:
        infos = self.infos[bool(step.truncated[0])]
        done = step.terminated | step.truncated
        self.buffer.add(step.obs, step.next_obs, step.action, step.reward, done, infos)

    def extend(self, rows: Rows) -> None:
        for t in range(len(rows.reward)):
            self.add(Rows(*(column[t : t + 1] for column in rows)))

    def sample(self, batch_size: int) -> Drawn:
        drawn = self.buffer.sample(batch_size)
        discount = (GAMMA if drawn.discounts is None else drawn.discounts) * (1 - drawn.dones)
        obs, next_obs = drawn.observations, drawn.next_observations
        return Drawn(obs, drawn.actions, drawn.rewards, next_obs, discount, None, None)

    def update(self, key: Any, priorities: Any) -> None:
        """Uniform."""
