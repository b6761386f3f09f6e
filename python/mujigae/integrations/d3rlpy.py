"""d3rlpy 2.8: the episodes of a buffer as a dataset of d3rlpy, for its offline algorithms.

    dataset = to_d3rlpy(buffer)
    d3rlpy.algos.DiscreteCQLConfig().create().fit(dataset, n_steps=10_000)

An episode of d3rlpy has no observation behind its last step. One that ends in a terminal state needs none. Every other one gets a
step more, of reward 0 and an action of zeros, so that its last real step has its true successor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import mujigae
from mujigae.errors import require

# First: without it, the imports below would fail less clearly.
require("d3rlpy", "d3rlpy", first="2.8", below="2.9")

from d3rlpy.constants import ActionSpace  # noqa: E402
from d3rlpy.dataset import Episode, InfiniteBuffer, ReplayBuffer  # noqa: E402

__all__ = ["to_d3rlpy"]


def to_d3rlpy(buffer: mujigae.ReplayBuffer, **options: Any) -> ReplayBuffer:
    """A dataset of d3rlpy with all rows of a buffer, by episodes, oldest first.

    Args:
        **options: further ones of `d3rlpy.dataset.ReplayBuffer`: transition_picker, trajectory_slicer, action_space (discrete where
            actions are integers), action_size.

    Observations keep their shape and dtype, actions become [T, action_size] (discrete ones [T, 1]) and rewards float32 [T, 1]. An
    episode that is open, or was cut, is not terminated. Raises ValueError for an empty buffer and TypeError for observations of
    several arrays.
    """
    episodes = [_episode(episode) for episode in buffer.episodes()]
    if not episodes:
        raise ValueError("buffer: expected at least one row, got none")
    is_discrete = episodes[0].actions.dtype.kind in "iu"
    kind = ActionSpace.DISCRETE if is_discrete else ActionSpace.CONTINUOUS
    return ReplayBuffer(InfiniteBuffer(), episodes=episodes, **{"action_space": kind, **options})


def _episode(episode: mujigae.Episode) -> Episode:
    if not isinstance(episode.obs, np.ndarray):
        raise TypeError(
            f"buffer: expected observations of one array, got a {type(episode.obs).__name__} of them"
        )
    is_terminated = bool(episode.terminated[-1])
    action = episode.action.reshape(len(episode.action), -1)
    reward = episode.reward.astype(np.float32)[:, None]
    if is_terminated:
        return Episode(episode.obs[:-1], action, reward, terminated=True)
    nothing = np.zeros_like(action[:1])
    return Episode(
        episode.obs,
        np.concatenate([action, nothing]),
        np.concatenate([reward, np.zeros_like(reward[:1])]),
        terminated=False,
    )
