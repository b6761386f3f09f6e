"""Buffers with one fault each, in what they keep: rows, frames, memory, files."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import mujigae
from mujigae.conformance import Batch, Config
from mujigae.conformance.ours import Mujigae, Reference


class LosesTheFinalObservation(Mujigae):
    """The successor of a truncated row is the row itself."""

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
        ends = truncated.reshape(-1, *[1] * (obs.ndim - 1))
        super().add(obs, action, reward, np.where(ends, obs, next_obs), terminated, truncated, env_ids)


class HasNoNewestSuccessor(Mujigae):
    """Takes the newest row's next_obs to be its own obs."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        newest = batch.key == batch.key.max()
        batch.next_obs[newest] = batch.obs[newest]
        return batch


class ForgetsASuccessor(Mujigae):
    """With two options at once, a row is its own successor."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.is_wrong = {"n_step", "prioritized"} <= config.options()

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(next_obs=batch.obs) if self.is_wrong else batch


class CrossesEpisodes(Mujigae):
    """Truncations are not noticed: windows run into the next episode."""

    arguments = {"validate": False}  # noqa: RUF012

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
        super().add(obs, action, reward, next_obs, terminated, truncated & False, env_ids)


class IgnoresTerminated(Mujigae):
    """Bootstraps from terminal states."""

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
        super().add(obs, action, reward, next_obs, terminated & False, truncated | terminated, env_ids)


class LosesTails(Mujigae):
    """Draws whole windows only, and no row that ends an episode."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(20 * batch_size)
        whole = np.flatnonzero(np.isclose(batch.discount, self.buffer.gamma**self.buffer.n_step))
        rows = np.resize(whole, batch_size)
        return Batch(*(np.ascontiguousarray(field[rows]) for field in batch[:9]))


class IsCarefulAtTheHead(Mujigae):
    """Never draws the rows just behind the write head."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(20 * batch_size)
        time = batch.action
        rows = np.resize(np.flatnonzero(time < time.max() - 2), batch_size)
        return Batch(*(np.ascontiguousarray(field[rows]) for field in batch[:9]))


class MixesEnvironments(Mujigae):
    """A vector step is taken for consecutive steps of the first environment."""

    arguments = {"validate": False}  # noqa: RUF012

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
        for e in range(len(reward)):
            one = slice(e, e + 1)
            row = (obs[one], action[one], reward[one], next_obs[one], terminated[one], truncated[one])
            super().add(*row, np.array([0]))


class TakesIdsForPositions(Mujigae):
    """Rows of some environments go to the first ones."""

    arguments = {"validate": False}  # noqa: RUF012

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
        super().add(obs, action, reward, next_obs, terminated, truncated, np.arange(len(reward)))


class NeverClears(Mujigae):
    """Goes on as if nothing had been said."""

    def clear(self) -> None:
        pass


class SavesTheWholeCapacity(Mujigae):
    """The file is as large as the buffer may become, and its priorities are lost."""

    def save(self, path: Path) -> None:
        super().save(path.with_name("rows"))
        path.write_bytes(bytes(self.buffer.capacity * 28224))

    @classmethod
    def load(cls, path: Path, config: Config) -> Any:
        buffer = mujigae.load(path.with_name("rows"))
        buffer.update_priorities(sorted(set(buffer.sample(2000).key.tolist())), np.ones(len(buffer)))  # type: ignore[attr-defined]
        return cls._around(buffer)


class RoundsCapacityDown(Mujigae):
    """A share of the capacity for each environment, and the rest is dropped."""

    def __init__(self, config: Config) -> None:
        rows = config.capacity // config.num_envs * config.num_envs
        super().__init__(Config(**{**config.__dict__, "capacity": rows}))


class CastsObservations(Mujigae):
    """Whatever comes is made to fit; and memory counts, not values."""

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
        obs, next_obs = (
            np.frombuffer(a.tobytes("A")[: a.size], np.uint8).reshape(a.shape) for a in (obs, next_obs)
        )
        super().add(obs, action, reward, next_obs, terminated, truncated, env_ids)


class RepeatsTheFirstFrame(Mujigae):
    """Padding of its own, while the adapter says that it keeps what is added; frames of zeros come from somewhere."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        batch.obs[:, 0] = batch.obs[:, -1]
        return batch


class CountsMemoryAsOthersUseIt(Mujigae):
    """Every frame four times, twice, and something for each episode. (It stores none of them.)"""

    num_rows = num_ends = 0

    def add(self, *arrays: Any) -> None:
        *_, terminated, truncated, _ = arrays
        self.num_rows = min(self.num_rows + len(terminated), self.buffer.capacity)
        self.num_ends += int((terminated | truncated).sum())

    @property
    def nbytes(self) -> int:
        return self.num_rows * 56448 + self.num_ends * 1_000_000


class AddsPhantomSteps(Mujigae):
    """Adds what the environment returns, the step of the reset too."""

    def collect(self, env: Any, num_steps: int) -> None:
        obs, _ = env.reset()
        for _ in range(num_steps):
            action = np.zeros(env.num_envs, np.int64)
            next_obs, reward, terminated, truncated, _ = env.step(action)
            with warnings.catch_warnings(action="ignore"):  # the buffer does say so
                self.buffer.add(obs.copy(), action, reward, next_obs.copy(), terminated, truncated)
            obs = next_obs.copy()


class BreaksInAFork(Reference):
    """In a fork of the process that made it, it draws zeros."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.owner = os.getpid()

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        if os.getpid() != self.owner:
            batch.obs[...] = 0
        return batch
