"""torchrl 0.14.1: TensorDict buffers over `LazyTensorStorage`, n-step by `MultiStepTransform`, its own C++ trees."""

from __future__ import annotations

import pickle
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, TensorDictPrioritizedReplayBuffer, TensorDictReplayBuffer
from torchrl.data.replay_buffers.samplers import SliceSampler, SumSegmentTreeFp32
from torchrl.envs import MultiStepTransform

from bench.core.sequences import Sequences
from bench.core.subject import ALPHA, BETA, EPS, GAMMA, Drawn, Rows, Subject
from mujigae.conformance import Adapter, Batch, Config, NotOffered


class ConformanceAdapter(Adapter):
    """Rows [E] in a flat storage; with n-step and several environments [E, time], as its manual shows it."""

    name = "torchrl"
    version = metadata.version("torchrl")
    offers = frozenset(["num_envs", "frame_stack", "n_step", "prioritized", "dict_obs", "seed", "threads"])
    runs_without_torch = False

    def __init__(self, config: Config) -> None:
        self.config = config
        self.is_timed = config.num_envs > 1 and config.n_step > 1
        options: dict[str, Any] = {
            "storage": LazyTensorStorage(config.capacity, ndim=2 if self.is_timed else 1)
        }
        self.pending: list[Any] = []  # steps of a rollout: the transform takes [E, n] or more at a time
        if config.n_step > 1:
            options["transform"] = MultiStepTransform(n_steps=config.n_step, gamma=config.gamma)
        if config.seed is not None:
            options["generator"] = torch.Generator().manual_seed(config.seed)
        if config.prioritized:
            self.buffer: Any = TensorDictPrioritizedReplayBuffer(
                alpha=config.alpha, beta=config.beta, eps=config.eps, priority_key="td_error", **options
            )
        else:
            self.buffer = TensorDictReplayBuffer(**options)

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
    ) -> None:
        num = len(reward)
        following = {
            "observation": _torch(next_obs),
            "reward": torch.tensor(reward, dtype=torch.float32)[:, None],
            "terminated": torch.tensor(terminated)[:, None],
            "truncated": torch.tensor(truncated)[:, None],
            "done": torch.tensor(terminated | truncated)[:, None],
        }
        rows = TensorDict(
            {
                "observation": _torch(obs),
                "action": torch.tensor(action),
                "next": TensorDict(following, [num]),
            },
            [num],
        )
        if not self.is_timed:
            self.buffer.extend(rows)
            return
        self.pending.append(rows)
        if len(self.pending) == self.config.n_step:
            self.buffer.extend(torch.stack(self.pending, 1))
            self.pending.clear()

    def extend(
        self, obs: Any, action: Any, reward: Any, next_obs: Any, terminated: Any, truncated: Any
    ) -> None:
        self.add(obs, action, reward, next_obs, terminated, truncated)

    def sample(self, batch_size: int) -> Batch:
        drawn = self.buffer.sample(batch_size).reshape(-1)
        following = drawn["next"]
        terminated = following["terminated"].numpy().reshape(-1)
        steps = drawn["steps_to_next_obs"].numpy().reshape(-1) if self.config.n_step > 1 else 1
        discount = np.power(self.config.gamma, steps) * ~terminated  # as its DQNLoss does
        weight = _weight(drawn).numpy().reshape(-1) if self.config.prioritized else np.ones(batch_size)
        key = drawn["index"].numpy() if self.config.prioritized else None
        obs, next_obs = _numpy(drawn["observation"]), _numpy(following["observation"])
        action, reward = drawn["action"].numpy().reshape(-1), following["reward"].numpy().reshape(-1)
        return Batch(obs, action, reward, next_obs, discount, terminated, weight, key)

    def update_priorities(self, key: Any, priorities: Any) -> None:
        index = torch.as_tensor(np.asarray(key))
        if self.is_timed:
            raise NotOffered("priorities over [environment, time]")
        self.buffer.update_priority(index, torch.as_tensor(np.asarray(priorities, np.float32)))

    def clear(self) -> None:
        self.buffer.empty()

    def save(self, path: Path) -> None:
        self.buffer.dumps(path)

    @classmethod
    def load(cls, path: Path, config: Config) -> Self:
        self = cls(config)
        self.buffer.loads(path)
        return self

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        twin.buffer = pickle.loads(pickle.dumps(self.buffer))
        return twin


def _weight(drawn: Any) -> Any:
    name = "priority_weight" if "priority_weight" in drawn.keys() else "_weight"  # noqa: SIM118, a TensorDict
    return drawn[name]


def _torch(obs: Any) -> Any:
    if isinstance(obs, dict):
        parts = {name: torch.tensor(part) for name, part in obs.items()}
        return TensorDict(parts, [len(obs["speed"])])
    return torch.tensor(np.ascontiguousarray(obs))


def _numpy(obs: Any) -> Any:
    return (
        {"image": obs["image"].numpy(), "speed": obs["speed"].numpy()}
        if isinstance(obs, TensorDict)
        else obs.numpy()
    )


class SpeedSubject(Subject):
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

    def vector(self, capacity: int, is_prioritized: bool) -> Any:
        return Replay(capacity, is_prioritized=is_prioritized)

    def uniform(self, capacity: int) -> Any:
        return Replay(capacity, is_prioritized=False)

    def sequences(self, capacity: int, length: int, burn_in: int) -> Any:
        return Slices(capacity, burn_in + length + 1)


class Slices:
    """`SliceSampler` of whole slices, which knows each row's episode and keeps where episodes end; observations are stored once."""

    def __init__(self, capacity: int, num_steps: int) -> None:
        sampler = SliceSampler(
            slice_len=num_steps, traj_key="episode", cache_values=True, strict_length=True, truncated_key=None
        )
        self.num_steps = num_steps
        self.buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(capacity), sampler=sampler)
        self.num_episodes = 0

    def extend(self, rows: Rows) -> None:
        ends = rows.terminated | rows.truncated
        episode = self.num_episodes + np.append(0, np.cumsum(ends)[:-1])
        self.num_episodes += int(ends.sum())
        columns = {
            "observation": rows.obs,
            "action": rows.action,
            "reward": rows.reward,
            "discount": np.float32(GAMMA) * ~rows.terminated,
            "episode": episode,
        }
        tensors = {name: torch.as_tensor(column) for name, column in columns.items()}
        self.buffer.extend(TensorDict(tensors, [len(rows.reward)]))

    def sample(self, batch_size: int) -> Sequences:
        drawn = self.buffer.sample(batch_size * self.num_steps).view(batch_size, self.num_steps)
        return Sequences(drawn["observation"], drawn["action"], drawn["reward"], drawn["discount"])


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
