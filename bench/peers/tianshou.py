"""tianshou 2.0.1: its buffers, `Algorithm.compute_nstep_return` for n-step returns, as its DQN calls it, and its Numba tree.

Speed: frames once, as in its Atari examples; only what a batch needs is gathered, `Algorithm` itself gathers more.
"""

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

from bench.core.subject import ALPHA, BETA, GAMMA, Drawn, Rows, Subject
from mujigae.conformance import Adapter, Batch, Config, NotOffered


class ConformanceAdapter(Adapter):
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


_VALUES = torch.tensor([[0.0, 1.0]])  # the return without a bootstrap, and with one of 1


class SpeedSubject(Subject):
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

    def vector(self, capacity: int, is_prioritized: bool) -> Any:
        return Replay(
            PrioritizedReplayBuffer(capacity, alpha=ALPHA, beta=BETA)
            if is_prioritized
            else ReplayBuffer(capacity),
            1,
        )

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


def _compile() -> None:
    """Its loops are compiled at their first use: once here, and not again in the process of each case."""
    obs, no = np.zeros((2, 2, 3), np.uint8), np.array([False, False])
    for num_envs in (1, 2):
        first = ConformanceAdapter(Config(8, num_envs=num_envs, n_step=2, prioritized=True))
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
