"""torchrl 0.14.1: TensorDict buffers over `LazyTensorStorage`, n-step by `MultiStepTransform`, its own C++ trees."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
import torch
from subject import ALPHA, BETA, EPS, GAMMA, Drawn, NotOffered, Rows, Subject
from tensordict import TensorDict
from torchrl.data import (
    LazyTensorStorage,
    TensorDictPrioritizedReplayBuffer,
    TensorDictReplayBuffer,
)
from torchrl.data.replay_buffers.samplers import SumSegmentTreeFp32
from torchrl.envs import MultiStepTransform


class TorchRL(Subject):
    """Prioritized draws use its tree of 32-bit floats, which is its default."""

    name = "torchrl"
    version = metadata.version("torchrl")
    packages = ("torchrl", "tensordict", "torch", "numpy")
    tolerance = 1e-3

    def tree(self, values: Any) -> Any:
        return Tree(values)

    def atari(self, capacity: int, num_envs: int = 1) -> Any:
        if num_envs > 1:
            raise NotOffered("priorities over environments with n-step returns")
        return Replay(capacity, n_step=3)

    def vector(self, capacity: int) -> Any:
        return Replay(capacity)

    def uniform(self, capacity: int) -> Any:
        return Replay(capacity, is_prioritized=False)


class Tree:
    """`SumSegmentTreeFp32`, drawn from as its `PrioritizedSampler` does."""

    def __init__(self, values: Any) -> None:
        self.size = len(values)
        self.tree = SumSegmentTreeFp32(self.size)
        self.update(np.arange(self.size), values)

    def draw(self, batch_size: int) -> Any:
        mass = np.random.uniform(0.0, self.tree.query(0, self.size), size=batch_size)
        return self.tree.scan_lower_bound(mass)

    def update(self, indices: Any, values: Any) -> None:
        self.tree.update(indices, values)

    def total(self) -> float:
        return float(self.tree.query(0, self.size))


class Replay:
    """Flat storage; what it gives are torch tensors already."""

    def __init__(self, capacity: int, n_step: int = 1, is_prioritized: bool = True) -> None:
        self.n_step, self.is_prioritized = n_step, is_prioritized
        options: dict[str, Any] = {"storage": LazyTensorStorage(capacity)}
        if n_step > 1:
            options["transform"] = MultiStepTransform(n_steps=n_step, gamma=GAMMA)
        if is_prioritized:
            priorities = {"alpha": ALPHA, "beta": BETA, "eps": EPS, "priority_key": "td_error"}
            self.buffer: Any = TensorDictPrioritizedReplayBuffer(**priorities, **options)
        else:
            self.buffer = TensorDictReplayBuffer(**options)

    def add(self, step: Rows) -> None:
        self.extend(step)

    def extend(self, rows: Rows) -> None:
        num = len(rows.reward)
        ends = {
            "terminated": torch.as_tensor(rows.terminated)[:, None],
            "truncated": torch.as_tensor(rows.truncated)[:, None],
            "done": torch.as_tensor(rows.terminated | rows.truncated)[:, None],
        }
        reward = torch.as_tensor(rows.reward, dtype=torch.float32)[:, None]
        following = {"observation": torch.as_tensor(rows.next_obs), "reward": reward, **ends}
        fields = {
            "observation": torch.as_tensor(rows.obs),
            "action": torch.as_tensor(rows.action),
            "next": TensorDict(following, [num]),
        }
        self.buffer.extend(TensorDict(fields, [num]))

    def sample(self, batch_size: int) -> Drawn:
        drawn = self.buffer.sample(batch_size)
        following = drawn["next"]
        terminated = following["terminated"]
        steps = drawn["steps_to_next_obs"].view_as(terminated) if self.n_step > 1 else 1
        discount = GAMMA**steps * ~terminated
        weight = drawn["priority_weight"] if self.is_prioritized else torch.ones(batch_size)
        obs = (drawn["observation"], drawn["action"], following["reward"], following["observation"])
        return Drawn(*obs, discount, weight, drawn["index"] if self.is_prioritized else None)

    def update(self, key: Any, priorities: Any) -> None:
        self.buffer.update_priority(key, priorities)
