"""torchrl 0.14.1: TensorDict buffers over `LazyTensorStorage`, n-step by `MultiStepTransform`."""

from __future__ import annotations

import pickle
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, TensorDictPrioritizedReplayBuffer, TensorDictReplayBuffer
from torchrl.envs import MultiStepTransform

from mujigae.conformance import Adapter, Batch, Config, NotOffered


class TorchRL(Adapter):
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
