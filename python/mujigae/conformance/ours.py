"""Adapters around mujigae's own buffers: the compiled ones and their plain-NumPy twins."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

import mujigae
from mujigae.conformance.adapter import (
    OPTIONS,
    Adapter,
    Batch,
    Config,
    Episode,
    NotOffered,
    SequenceBatch,
    Tree,
)
from mujigae.conformance.identity import EXTRAS
from mujigae.replay import reference
from mujigae.replay.samplers import Sampler

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Mujigae", "Reference"]


class Space(NamedTuple):
    """A space without gymnasium."""

    shape: tuple[int, ...]
    dtype: Any


def _sampler(config: Config) -> Sampler:
    if not config.prioritized:
        return mujigae.Uniform(config.replacement)
    if config.rank_based:
        return mujigae.RankBased(config.alpha, config.beta)
    return mujigae.Proportional(
        config.alpha,
        config.beta,
        config.eps,
        config.stratified,
        config.uniform_share,
        config.replacement,
    )


class Mujigae(Adapter):
    """`mujigae.ReplayBuffer`, which always stores next_obs and frames once."""

    name = "mujigae"
    version = mujigae.__version__
    offers = OPTIONS | {"env_ids", "threads"}
    module: ClassVar[ModuleType] = mujigae
    arguments: ClassVar[dict[str, Any]] = {}  #: more for the constructor

    def __init__(self, config: Config) -> None:
        image = Space(config.obs_shape, np.uint8)
        space = {"image": image, "speed": ((1,), np.float32)} if config.dict_obs else image
        stack: Any = config.frame_stack
        options: dict[str, Any] = {"n_step": config.n_step, "gamma": config.gamma, "seed": config.seed}
        self.buffer: Any = self.module.ReplayBuffer(
            config.capacity,
            space,
            Space((), np.int64),
            num_envs=config.num_envs,
            frame_stack={"image": stack} if config.dict_obs and stack else stack,
            sampler=_sampler(config),
            extras=EXTRAS if config.extras else None,
            **options | self.arguments,
        )

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
        self.buffer.add(obs, action, reward, next_obs, terminated, truncated, env_ids)

    def extend(
        self, obs: Any, action: Any, reward: Any, next_obs: Any, terminated: Any, truncated: Any
    ) -> None:
        self.buffer.extend(obs, action, reward, next_obs, terminated, truncated)

    def sample(self, batch_size: int) -> Batch:
        batch: Batch = self.buffer.sample(batch_size)
        return batch

    def update_priorities(self, key: Any, priorities: Any) -> None:
        self.buffer.update_priorities(key, priorities)

    def add_with(self, step: tuple[Any, ...], env_ids: Any, priority: Any, extras: Any) -> None:
        self.buffer.add(*step, env_ids, priority=priority, extras=extras)

    def draw(self, batch_size: int) -> tuple[Any, Any]:
        key, probability = self.buffer.draw(batch_size)
        return key, probability

    def gather(self, key: Any) -> Batch:
        batch: Batch = self.buffer.gather(key)
        return batch

    def next_key(self, key: Any) -> Any:
        return self.buffer.next_key(key)

    def episodes(self) -> Iterable[Episode]:
        episodes: Iterable[Episode] = self.buffer.episodes()
        return episodes

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> SequenceBatch:
        batch: SequenceBatch = self.buffer.sample_sequences(batch_size, length, burn_in)
        return batch

    def clear(self) -> None:
        self.buffer.clear()

    def save(self, path: Path) -> None:
        self.buffer.save(path)

    @classmethod
    def load(cls, path: Path, config: Config) -> Self:
        return cls._around(mujigae.load(path))

    def pickled(self) -> Self:
        return self._around(pickle.loads(pickle.dumps(self.buffer)))

    @classmethod
    def _around(cls, buffer: Any) -> Self:
        self = cls.__new__(cls, Config(buffer.capacity))
        self.buffer = buffer
        return self

    @property
    def nbytes(self) -> int:
        return int(self.buffer.nbytes)

    @classmethod
    def tree(cls, capacity: int) -> Tree:
        tree: Tree = cls.module.SumTree(capacity)
        return tree

    def collect(self, env: Any, num_steps: int) -> None:
        from mujigae.envs.steps import StepStream

        stream = StepStream(env)
        stream.reset()
        for _ in range(num_steps):
            steps = stream.step(np.zeros(env.num_envs, np.int64))
            self.add(*steps[1:-1], steps.env_ids)  # all but the finished games


class Reference(Mujigae):
    """The plain-NumPy twins of `mujigae.replay.reference`: they store everything whole, and are not saved."""

    name = "mujigae (reference)"
    offers = Mujigae.offers - {"frames_once", "threads"}
    module: ClassVar[ModuleType] = reference

    def save(self, path: Path) -> None:
        raise NotOffered("save and load")

    def pickled(self) -> Self:
        raise NotOffered("pickle")
