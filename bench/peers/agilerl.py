"""AgileRL 2.58.0: `ReplayBuffer`, `PrioritizedReplayBuffer`, and `MultiStepReplayBuffer` for windows, fed as `train_off_policy` feeds them.

Its training loop passes only terminations on as ends, and discounts a window by gamma^n. A uniform batch has at most as many rows as the
buffer: larger ones are put together of several.
"""

from __future__ import annotations

import pickle
import warnings
from importlib import metadata
from typing import Any, Self

import numpy as np
import torch
from tensordict import TensorDict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from agilerl.components.replay_buffer import (
        MultiStepReplayBuffer,
        PrioritizedReplayBuffer,
        ReplayBuffer,
    )

from bench.core.parts import in_parts
from mujigae.conformance import Adapter, Batch, Config, NotOffered


class ConformanceAdapter(Adapter):
    """Windows are made beside a prioritized buffer, not in one: n_step and prioritized together are not offered here."""

    name = "agilerl"
    version = metadata.version("agilerl")
    offers = frozenset(["num_envs", "frame_stack", "n_step", "prioritized", "stratified", "dict_obs"])
    runs_without_torch = False

    def __init__(self, config: Config) -> None:
        if config.n_step > 1 and config.prioritized:
            raise NotOffered(
                "windows by priority: they come from a second buffer, by the indices of the first"
            )
        self.config = config
        if config.prioritized:
            self.buffer: Any = PrioritizedReplayBuffer(config.capacity, config.alpha)
        elif config.n_step > 1:
            self.buffer = MultiStepReplayBuffer(config.capacity, config.n_step, config.gamma)
        else:
            self.buffer = ReplayBuffer(config.capacity)

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
        rows = {
            "obs": _tensors(obs),
            "action": _tensor(action),
            "next_obs": _tensors(next_obs),
            "reward": _tensor(reward).float(),
            "done": _tensor(terminated),
        }
        self.buffer.add(TensorDict(rows, [len(reward)]))

    def sample(self, batch_size: int) -> Batch:
        most = batch_size if self.config.prioritized else len(self.buffer)
        return in_parts(self._sample, batch_size, most)

    def _sample(self, batch_size: int) -> Batch:
        drawn = self.buffer.sample(batch_size, beta=self.config.beta)
        done = drawn["done"].numpy().reshape(batch_size)
        discount = self.config.gamma**self.config.n_step * (1.0 - done)
        weight, key = np.ones(batch_size), None
        if self.config.prioritized:
            weight, key = (drawn[name].numpy().reshape(batch_size) for name in ("weights", "idxs"))
        action, reward = (drawn[name].numpy().reshape(batch_size) for name in ("action", "reward"))
        obs, next_obs = _arrays(drawn["obs"]), _arrays(drawn["next_obs"])
        return Batch(obs, action, reward, next_obs, discount, done, weight, key)

    def update_priorities(self, key: Any, priorities: Any) -> None:
        self.buffer.update_priorities(key, priorities)

    def clear(self) -> None:
        self.buffer.clear()

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        twin.buffer = pickle.loads(pickle.dumps(self.buffer))
        return twin


def _tensors(obs: Any) -> Any:
    if not isinstance(obs, dict):
        return _tensor(obs)
    return TensorDict({name: _tensor(part) for name, part in obs.items()}, [len(obs["speed"])])


def _tensor(array: Any) -> Any:
    return torch.tensor(np.ascontiguousarray(array))


def _arrays(obs: Any) -> Any:
    if isinstance(obs, TensorDict):
        return {name: part.numpy() for name, part in obs.items()}
    return obs.numpy()
