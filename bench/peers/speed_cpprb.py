"""cpprb 11.0.0: `stack_compress` for frames; `next_of` cannot be had together with Nstep. Its arrays become torch tensors."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import cpprb
import numpy as np
import torch
from subject import ALPHA, BETA, EPS, GAMMA, Drawn, NotOffered, Rows, Subject


class Cpprb(Subject):
    """Frames lie along the last axis, and are handed out as a view with that axis in front."""

    name = "cpprb"
    version = metadata.version("cpprb")
    packages = ("cpprb", "torch", "numpy")

    def atari(self, capacity: int, num_envs: int = 1) -> Any:
        if num_envs > 1:
            raise NotOffered("several environments with Nstep or stack_compress")
        image = {"shape": (84, 84, 4), "dtype": np.uint8}
        n_step = {"size": 3, "gamma": GAMMA, "rew": "rew", "next": "next_obs"}
        options = {"Nstep": n_step, "stack_compress": ["obs", "next_obs"]}
        return Replay(_prioritized(capacity, image, {"dtype": np.int64}, **options), 3, is_image=True)

    def vector(self, capacity: int) -> Any:
        return Replay(_prioritized(capacity, {"shape": 17}, {"shape": 6}), 1)

    def uniform(self, capacity: int) -> Any:
        columns = _columns({"shape": 4}, {"dtype": np.int64})
        return Replay(cpprb.ReplayBuffer(capacity, columns), 1, is_prioritized=False)


def _columns(obs: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
    return {"obs": obs, "next_obs": obs, "act": action, "rew": {}, "done": {}}


def _prioritized(capacity: int, obs: dict[str, Any], action: dict[str, Any], **options: Any) -> Any:
    columns = _columns(obs, action)
    return cpprb.PrioritizedReplayBuffer(
        capacity, columns, alpha=ALPHA, eps=EPS, check_for_update=True, **options
    )


class Replay:
    """One of its buffers. Without priorities it stays with NumPy."""

    def __init__(self, buffer: Any, n_step: int, is_image: bool = False, is_prioritized: bool = True) -> None:
        self.buffer, self.is_image, self.is_prioritized = buffer, is_image, is_prioritized
        self.discount = GAMMA**n_step
        self.tensor: Any = torch.as_tensor if is_prioritized else lambda values: values

    def add(self, step: Rows) -> None:
        obs, next_obs = step.obs, step.next_obs
        if self.is_image:
            obs, next_obs = np.moveaxis(obs, 1, -1), np.moveaxis(next_obs, 1, -1)
        done = step.terminated
        reward = step.reward.copy()  # Nstep adds up in the array that it is given
        self.buffer.add(obs=obs, act=step.action, rew=reward, next_obs=next_obs, done=done)
        if (done | step.truncated).any():
            self.buffer.on_episode_end()

    def extend(self, rows: Rows) -> None:
        """As many rows at once as lie in one episode."""
        ends = np.flatnonzero(rows.terminated | rows.truncated) + 1
        begin = 0
        for end in [*ends.tolist(), len(rows.reward)]:
            if end > begin:
                self.add(Rows(*(column[begin:end] for column in rows)))
            begin = end

    def sample(self, batch_size: int) -> Any:
        if not self.is_prioritized:
            drawn = self.buffer.sample(batch_size)
            weight = key = None
        else:
            drawn = self.buffer.sample(batch_size, beta=BETA)
            weight, key = self.tensor(drawn["weights"]), drawn["indexes"]
        obs, next_obs = self.tensor(drawn["obs"]), self.tensor(drawn["next_obs"])
        if self.is_image:
            obs, next_obs = obs.permute(0, 3, 1, 2), next_obs.permute(0, 3, 1, 2)
        discount = self.tensor(self.discount * (1 - drawn["done"]))
        action, reward = self.tensor(drawn["act"]), self.tensor(drawn["rew"])
        return Drawn(obs, action, reward, next_obs, discount, weight, key)

    def update(self, key: Any, priorities: Any) -> None:
        self.buffer.update_priorities(key, priorities.numpy())
