"""The engine as the conformance suite meets it beside the plain one: compressed, prefetched, in a file."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mujigae.conformance import Batch, Config, Episode, SequenceBatch
from mujigae.conformance.ours import Mujigae


class Compressed(Mujigae):
    """With `compress=True`. Frames are compressed from 1024 bytes on: zeros make those of small ones so many."""

    arguments: ClassVar[dict[str, Any]] = {"compress": True}

    def __init__(self, config: Config) -> None:
        *shape, width = config.frame_shape
        super().__init__(replace(config, frame_shape=(*shape, width + num_zeros(width))))

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
        super().add(widened(obs), action, reward, widened(next_obs), terminated, truncated, env_ids)

    def add_with(self, step: tuple[Any, ...], env_ids: Any, priority: Any, extras: Any) -> None:
        obs, action, reward, next_obs, *ends = step
        super().add_with((widened(obs), action, reward, widened(next_obs), *ends), env_ids, priority, extras)

    def extend(
        self, obs: Any, action: Any, reward: Any, next_obs: Any, terminated: Any, truncated: Any
    ) -> None:
        super().extend(widened(obs), action, reward, widened(next_obs), terminated, truncated)

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(obs=narrowed(batch.obs), next_obs=narrowed(batch.next_obs))

    def gather(self, key: Any) -> Batch:
        batch = super().gather(key)
        return batch._replace(obs=narrowed(batch.obs), next_obs=narrowed(batch.next_obs))

    def episodes(self) -> Iterator[Episode]:
        for episode in super().episodes():
            yield episode._replace(obs=narrowed(episode.obs))

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> SequenceBatch:
        batch = super().sample_sequences(batch_size, length, burn_in)
        return batch._replace(obs=narrowed(batch.obs))


def num_zeros(width: int) -> int:
    return 0 if width == 84 else 1024


def widened(obs: Any) -> Any:
    if isinstance(obs, dict):
        return obs | {"image": widened(obs["image"])}
    image = np.asarray(obs)
    return np.concatenate(
        [image, np.zeros((*image.shape[:-1], num_zeros(image.shape[-1])), image.dtype)], axis=-1
    )


def narrowed(obs: Any) -> Any:
    if isinstance(obs, dict):
        return obs | {"image": narrowed(obs["image"])}
    width = obs.shape[-1] - num_zeros(obs.shape[-1])
    assert not obs[..., width:].any()
    return np.ascontiguousarray(obs[..., :width])


class Prefetched(Mujigae):
    """With batches gathered ahead by threads."""

    arguments: ClassVar[dict[str, Any]] = {"prefetch": 2}


class FileBacked(Mujigae):
    """With its storage in a file."""

    def __init__(self, config: Config) -> None:
        folder = Path(tempfile.mkdtemp(prefix="file-backed-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.arguments = {"path": folder / "rows"}  # type: ignore[misc]
        super().__init__(config)
