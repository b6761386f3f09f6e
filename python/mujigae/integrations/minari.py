"""Minari 0.5 datasets into a buffer and out of one, bit for bit.

    buffer = from_minari("D4RL/door/human-v2", n_step=3)
    dataset = to_minari(buffer, "mine/door-v0", env="AdroitHandDoor-v1")

An episode of either side is the same thing: T + 1 observations, T actions, rewards, terminations and truncations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import mujigae
from mujigae.errors import require

# First: without it, the imports below would fail less clearly.
require("minari", "minari", first="0.5", below="0.6")

import minari  # noqa: E402
from gymnasium import spaces  # noqa: E402
from minari.data_collector import EpisodeBuffer  # noqa: E402

from mujigae.structures import map_arrays  # noqa: E402

__all__ = ["add_episodes", "from_minari", "to_minari"]


def from_minari(dataset: Any, capacity: int | None = None, **options: Any) -> mujigae.ReplayBuffer:
    """A buffer with all episodes of a dataset, in their order, as those of one environment.

    Args:
        dataset: a MinariDataset, or the id of a local one.
        capacity: rows; None for as many as the dataset has.
        **options: further ones of `mujigae.ReplayBuffer`: sampler, frame_stack, n_step, compress, path, ...

    Shapes and dtypes are those of the dataset's arrays. Infos are not read. Raises ValueError for an empty dataset and TypeError for
    actions that are no single array.
    """
    dataset = _opened(dataset)
    first = next(iter(dataset.iterate_episodes()), None)
    if first is None:
        raise ValueError(f"dataset: expected at least one episode, got none in {dataset.id}")
    rows = int(dataset.total_steps) if capacity is None else capacity
    buffer = mujigae.ReplayBuffer(rows, _layout(first.observations), _layout(first.actions), **options)
    add_episodes(buffer, dataset)
    return buffer


def add_episodes(buffer: mujigae.ReplayBuffer, dataset: Any, env_id: int = 0) -> None:
    """Adds all episodes of a dataset to a buffer, as those of environment `env_id`.

    An episode without an end in its last step is truncated there, and so is one that was open in the buffer.
    """
    buffer.end_episodes()
    for episode in _opened(dataset).iterate_episodes():
        buffer.extend(
            _part(episode.observations, slice(None, -1)),
            episode.actions[:, None],
            np.asarray(episode.rewards)[:, None],
            _part(episode.observations, slice(1, None)),
            episode.terminations[:, None],
            episode.truncations[:, None],
            [env_id],
        )
        buffer.end_episodes()


def to_minari(
    buffer: mujigae.ReplayBuffer,
    dataset_id: str,
    *,
    env: Any = None,
    observation_space: Any = None,
    action_space: Any = None,
    jpeg_encoding: bool = False,
    **metadata: Any,
) -> Any:
    """Writes all rows of a buffer as a new local dataset, episode by episode, oldest first; returns the MinariDataset.

    Args:
        dataset_id: of the new dataset, such as "mine/pong-v0".
        env: the environment, its id or its spec, which gives the spaces and can be recovered from the dataset.
        observation_space, action_space: None for those of `env`, or without it for boxes of the arrays' shapes and dtypes.
        jpeg_encoding: compress images with loss, as Minari does by default.
        **metadata: further arguments of `minari.create_dataset_from_buffers`: algorithm_name, author, description, ...

    An episode that is still open is truncated at its last row. One episode at a time is in memory. Raises ValueError for an
    empty buffer.
    """
    episodes = _episodes(buffer)
    first = next(episodes, None)
    if first is None:
        raise ValueError("buffer: expected at least one row, got none")
    if env is None:
        observation_space = observation_space or _space(first.observations)
        action_space = action_space or _space(first.actions)
    dataset = minari.create_dataset_from_buffers(
        dataset_id,
        [first],
        env=env,
        observation_space=observation_space,
        action_space=action_space,
        jpeg_encoding=jpeg_encoding,
        **metadata,
    )
    dataset.storage.update_episodes(episodes)
    return minari.load_dataset(dataset_id)


def _episodes(buffer: mujigae.ReplayBuffer) -> Iterator[EpisodeBuffer]:
    for number, episode in enumerate(buffer.episodes()):
        truncated = episode.truncated.copy()
        truncated[-1] |= not episode.terminated[-1]
        yield EpisodeBuffer(
            id=number,
            observations=episode.obs,
            actions=episode.action,
            rewards=episode.reward,
            terminations=episode.terminated,
            truncations=truncated,
        )


def _opened(dataset: Any) -> Any:
    return minari.load_dataset(dataset) if isinstance(dataset, str) else dataset


def _part(observations: Any, rows: slice) -> Any:
    """These rows [T, 1, ...] of observations [T + 1, ...]."""
    return map_arrays(lambda array: np.asarray(array)[rows][:, None], observations)


def _layout(tree: Any) -> Any:
    """The shapes and dtypes of the arrays of an episode, as a buffer takes them."""
    return map_arrays(lambda array: (np.asarray(array).shape[1:], np.asarray(array).dtype), tree)


def _space(tree: Any) -> spaces.Space[Any]:
    """Boxes without bounds of their own for the arrays of an episode."""
    if isinstance(tree, dict):
        return spaces.Dict({name: _space(part) for name, part in tree.items()})
    if isinstance(tree, tuple):
        return spaces.Tuple([_space(part) for part in tree])
    box: Any = spaces.Box
    space: spaces.Space[Any] = box(*_limits(tree.dtype), tree.shape[1:], tree.dtype.type)
    return space


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind in "bf":
        return (0, 1) if dtype.kind == "b" else (-np.inf, np.inf)
    return np.iinfo(dtype).min, np.iinfo(dtype).max
