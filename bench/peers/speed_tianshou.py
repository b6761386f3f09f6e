"""tianshou 2.0.1: frames once as in its Atari examples, `Algorithm.compute_nstep_return` for returns, its Numba tree.

Only what a batch needs is gathered: `Algorithm` itself gathers more.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
import torch
from subject import ALPHA, BETA, GAMMA, Drawn, Rows, Subject
from tianshou.algorithm.algorithm_base import Algorithm
from tianshou.data import Batch as Fields
from tianshou.data import (
    PrioritizedReplayBuffer,
    PrioritizedVectorReplayBuffer,
    ReplayBuffer,
    SegmentTree,
)

_VALUES = torch.tensor([[0.0, 1.0]])  # the return without a bootstrap, and with one of 1


class Tianshou(Subject):
    """Stacks are put together when they are drawn; the first frame of an episode is repeated, not padded with zeros."""

    name = "tianshou"
    version = metadata.version("tianshou")
    packages = ("tianshou", "numba", "torch", "numpy")
    repeats_first = True

    def tree(self, values: Any) -> Any:
        return Tree(values)

    def atari(self, capacity: int, num_envs: int = 1) -> Any:
        options = {
            "ignore_obs_next": True,
            "stack_num": 4,
            "save_only_last_obs": True,
            "alpha": ALPHA,
            "beta": BETA,
        }
        if num_envs > 1:
            return Replay(PrioritizedVectorReplayBuffer(capacity, num_envs, **options), 3, num_envs)
        return Replay(PrioritizedReplayBuffer(capacity, **options), 3)

    def vector(self, capacity: int) -> Any:
        return Replay(PrioritizedReplayBuffer(capacity, alpha=ALPHA, beta=BETA), 1)

    def uniform(self, capacity: int) -> Any:
        return Replay(ReplayBuffer(capacity), 1)


class Tree:
    """`SegmentTree`, drawn from as its prioritized buffer does."""

    def __init__(self, values: Any) -> None:
        self.tree = SegmentTree(len(values))
        self.update(np.arange(len(values)), values)

    def draw(self, batch_size: int) -> Any:
        return self.tree.get_prefix_sum_idx(np.random.rand(batch_size) * self.tree.reduce())

    def update(self, indices: Any, values: Any) -> None:
        self.tree[indices] = values

    def total(self) -> float:
        return float(self.tree.reduce())


class Replay:
    """One of its buffers."""

    def __init__(self, buffer: Any, n_step: int, num_envs: int = 1) -> None:
        self.buffer, self.n_step, self.num_envs = buffer, n_step, num_envs
        self.is_prioritized = hasattr(buffer, "weight")

    def add(self, step: Rows) -> None:
        fields = self._fields(step)
        if self.num_envs > 1:
            self.buffer.add(fields, buffer_ids=np.arange(self.num_envs))
        else:
            self.buffer.add(fields[0])

    def extend(self, rows: Rows) -> None:
        if self.n_step > 1:
            for t in range(len(rows.reward)):
                self.add(Rows(*(column[t : t + 1] for column in rows)))
        else:
            done = rows.terminated | rows.truncated
            ends = {"terminated": rows.terminated, "truncated": rows.truncated, "done": done}
            data = {"obs": rows.obs, "act": rows.action, "rew": rows.reward, "obs_next": rows.next_obs}
            self.buffer.update(ReplayBuffer.from_data(**data, **ends))

    def sample(self, batch_size: int) -> Drawn:
        buffer = self.buffer
        indices = buffer.sample_indices(batch_size)
        last = indices

        def value(_: Any, ends: Any) -> Any:
            nonlocal last
            last = ends
            return _VALUES.repeat(batch_size, 1)  # it is written to

        returns = Algorithm.compute_nstep_return(
            Fields(act=buffer.act[indices]), buffer, indices, value, GAMMA, self.n_step
        ).returns
        next_obs = buffer.get(buffer.next(last), "obs") if self.n_step > 1 else buffer.get(last, "obs_next")
        weight = np.ones(batch_size, np.float32)
        if self.is_prioritized:
            weight = buffer.get_weight(indices)
            weight = (weight / weight.max()).astype(np.float32)
        obs = torch.as_tensor(buffer.get(indices, "obs"))
        action = torch.as_tensor(buffer.act[indices])
        discount = returns[:, 1] - returns[:, 0]
        weights = torch.as_tensor(weight)
        return Drawn(obs, action, returns[:, 0], torch.as_tensor(next_obs), discount, weights, indices)

    def update(self, key: Any, priorities: Any) -> None:
        self.buffer.update_weight(key, priorities)

    def _fields(self, step: Rows) -> Any:
        return Fields(
            obs=step.obs,
            act=step.action,
            rew=step.reward,
            terminated=step.terminated,
            truncated=step.truncated,
            obs_next=step.next_obs,
            info={},
        )
