"""skrl 2.1.1: `RandomMemory` with the columns of its off-policy agents, fed as they feed it: flat, float32, terminations as the only ends."""

from __future__ import annotations

import pickle
from importlib import metadata
from typing import Any, Self

import numpy as np
import torch
from skrl.memories.torch import RandomMemory

from bench.core.parts import in_bytes
from mujigae.conformance import Adapter, Batch, Config, NotOffered

NAMES = ["observations", "actions", "rewards", "next_observations", "terminated"]


class ConformanceAdapter(Adapter):
    """Uniform with replacement, one step; its capacity is that of one environment."""

    name = "skrl"
    version = metadata.version("skrl")
    offers = frozenset(["num_envs", "frame_stack"])
    runs_without_torch = False

    def __init__(self, config: Config) -> None:
        if config.capacity % config.num_envs:
            raise NotOffered("a capacity that is no multiple of the environments")
        self.config = config
        self.memory: Any = RandomMemory(
            memory_size=config.capacity // config.num_envs,
            num_envs=config.num_envs,
            device="cpu",
            replacement=True,
        )
        sizes = {"observations": int(np.prod(config.obs_shape)), "actions": 1, "rewards": 1, "terminated": 1}
        sizes["next_observations"] = sizes["observations"]
        dtypes = {"actions": torch.int64, "terminated": torch.bool}
        for name in NAMES:
            self.memory.create_tensor(name=name, size=sizes[name], dtype=dtypes.get(name, torch.float32))

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
        arrays = (obs, action, reward, next_obs, terminated)
        rows = (torch.as_tensor(np.ascontiguousarray(array)).reshape(len(reward), -1) for array in arrays)
        self.memory.add_samples(**dict(zip(NAMES, rows, strict=True)))

    def sample(self, batch_size: int) -> Batch:
        obs, action, reward, next_obs, terminated = (
            column.numpy() for column in self.memory.sample(NAMES, batch_size=batch_size)[0]
        )
        obs, next_obs = (
            in_bytes(array.reshape(batch_size, *self.config.obs_shape)) for array in (obs, next_obs)
        )
        done = terminated[:, 0]
        discount = self.config.gamma * (1.0 - done)
        return Batch(obs, action[:, 0], reward[:, 0], next_obs, discount, done, np.ones(batch_size), None)

    def clear(self) -> None:
        self.memory.reset()

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        twin.memory = pickle.loads(pickle.dumps(self.memory))
        return twin
