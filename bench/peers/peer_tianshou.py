"""tianshou 2.0.1: its buffers, and `Algorithm.compute_nstep_return` for the n-step returns, as its DQN calls it."""

from __future__ import annotations

import pickle
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from tianshou.algorithm.algorithm_base import Algorithm
from tianshou.data import (
    Batch as Fields,
)
from tianshou.data import (
    PrioritizedReplayBuffer,
    PrioritizedVectorReplayBuffer,
    ReplayBuffer,
    SegmentTree,
    VectorReplayBuffer,
)

from mujigae.conformance import Adapter, Batch, Config, NotOffered


class Tianshou(Adapter):
    """One sub-buffer for each environment. Frames once as in its Atari examples: stack_num, save_only_last_obs."""

    name = "tianshou"
    version = metadata.version("tianshou")
    offers = frozenset(
        [
            "num_envs",
            "env_ids",
            "frame_stack",
            "n_step",
            "prioritized",
            "dict_obs",
            "compact",
            "frames_once",
            "seed",
        ]
    )
    padding = "repeat"
    runs_without_torch = False

    def __init__(self, config: Config) -> None:
        if config.prioritized and config.alpha == 0.0:
            raise NotOffered("alpha = 0")
        self.config = config
        options: dict[str, Any] = {"ignore_obs_next": config.compact or config.frames_once}
        if config.frames_once:
            options |= {"stack_num": config.frame_stack, "save_only_last_obs": True}
        if config.seed is not None:
            options["random_seed"] = config.seed
        if config.prioritized:
            options |= {"alpha": config.alpha, "beta": config.beta}
        cls: Any = (ReplayBuffer, VectorReplayBuffer, PrioritizedReplayBuffer, PrioritizedVectorReplayBuffer)[
            2 * config.prioritized + (config.num_envs > 1)
        ]
        sizes = (config.capacity, config.num_envs) if config.num_envs > 1 else (config.capacity,)
        self.buffer: Any = cls(*sizes, **options)

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
        rows = Fields(
            obs=obs,
            act=action,
            rew=reward,
            terminated=terminated,
            truncated=truncated,
            obs_next=next_obs,
            info={},
        )
        if self.config.num_envs > 1:
            self.buffer.add(rows, buffer_ids=np.arange(self.config.num_envs) if env_ids is None else env_ids)
        else:
            self.buffer.add(rows[0])

    def sample(self, batch_size: int) -> Batch:
        if batch_size == 0:
            raise NotOffered("a batch of 0: it stands for all rows")
        drawn, indices = self.buffer.sample(batch_size)
        config = self.config
        reward = self._returns(drawn, indices, 0.0)
        discount = self._returns(drawn, indices, 1.0) - reward
        last = indices
        for _ in range(config.n_step - 1):
            last = self.buffer.next(last)
        ends = self.buffer[last]
        weight = np.asarray(drawn.weight) if config.prioritized else np.ones(batch_size)
        obs, next_obs = _plain(drawn.obs), _plain(ends.obs_next)
        return Batch(obs, drawn.act, reward, next_obs, discount, ends.terminated, weight, indices)

    def _returns(self, drawn: Any, indices: Any, bootstrap: float) -> Any:
        """The targets where the network says `bootstrap` everywhere."""
        config = self.config

        def target(_: Any, rows: Any) -> Any:
            return torch.full((len(rows),), bootstrap, dtype=torch.float64)

        done = Algorithm.compute_nstep_return(
            drawn, self.buffer, indices, target, config.gamma, config.n_step
        )
        return done.returns.numpy().reshape(len(indices))

    def update_priorities(self, key: Any, priorities: Any) -> None:
        self.buffer.update_weight(np.asarray(key), priorities)

    def clear(self) -> None:
        self.buffer.reset()

    def save(self, path: Path) -> None:
        path.write_bytes(pickle.dumps(self.buffer))

    @classmethod
    def load(cls, path: Path, config: Config) -> Self:
        self = cls(config)
        self.buffer = pickle.loads(path.read_bytes())
        return self

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        twin.buffer = pickle.loads(pickle.dumps(self.buffer))
        return twin

    @classmethod
    def tree(cls, capacity: int) -> Any:
        return TianshouTree(capacity)


class TianshouTree:
    """`SegmentTree` under the names of the suite."""

    def __init__(self, capacity: int) -> None:
        self.tree = SegmentTree(capacity)

    def update(self, indices: Any, values: Any) -> None:
        self.tree[np.asarray(indices)] = values

    def find(self, targets: Any) -> Any:
        return self.tree.get_prefix_sum_idx(targets)

    @property
    def total(self) -> float:
        return float(self.tree.reduce())


def _plain(obs: Any) -> Any:
    return {"image": obs.image, "speed": obs.speed} if isinstance(obs, Fields) else obs


def _compile() -> None:
    """Its loops are compiled at their first use: once here, and not again in the process of each case."""
    obs, no = np.zeros((2, 2, 3), np.uint8), np.array([False, False])
    for num_envs in (1, 2):
        first = Tianshou(Config(8, num_envs=num_envs, n_step=2, prioritized=True))
        for _ in range(3):
            first.add(
                obs[:num_envs],
                np.zeros(num_envs, np.int64),
                np.zeros(num_envs),
                obs[:num_envs],
                no[:num_envs],
                no[:num_envs],
            )
        drawn = first.sample(2)
        first.update_priorities(drawn.key, np.ones(2))


_compile()
