"""The replay buffer that draws in proportion to priorities: what it has beyond `ReplayBuffer`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mujigae import _core
from mujigae.replay.arguments import as_bool, as_float, as_path
from mujigae.replay.batch import Batch
from mujigae.replay.buffer import ReplayBuffer, Seed
from mujigae.replay.spaces import ObsLayout, action_spec

__all__ = ["PrioritizedReplayBuffer"]


class PrioritizedReplayBuffer(ReplayBuffer):
    """A replay buffer that draws rows in proportion to their priorities (Schaul et al. 2016).

    P(i) = (p_i + eps)^alpha / sum, weight_i = (N P(i))^-beta / max over the batch. A new row gets the largest priority
    ever given (1 at first). The raw p is stored, so alpha may change.

    Args: as `ReplayBuffer`, and
        alpha: priority exponent, 0 for uniform; 0.6 is the paper's for proportional priorities.
        beta: importance-sampling exponent, 0 for none, 1 for full correction; the paper's grows from 0.4 to 1.
        eps: added to each priority, so that none is zero.
        stratified: draw the i-th of B rows from the i-th of B equal slices of the total, as in the paper.
    """

    def __init__(
        self,
        capacity: int,
        observation_space: Any,
        action_space: Any,
        *,
        num_envs: int = 1,
        frame_stack: int | Mapping[str, int] | None = None,
        n_step: int = 1,
        gamma: float = 0.99,
        alpha: float = 0.6,
        beta: float = 0.4,
        eps: float = 1e-6,
        stratified: bool = True,
        compress: bool = False,
        path: str | os.PathLike[str] | None = None,
        device: Any = None,
        frames_on_device: bool = False,
        prefetch: int = 0,
        validate: bool = True,
        seed: Seed = None,
    ) -> None:
        rows = {"capacity": capacity, "num_envs": num_envs, "n_step": n_step, "gamma": gamma}
        priorities = {"alpha": alpha, "beta": beta, "eps": eps, "stratified": stratified}
        self._construct(
            {**rows, "compress": compress, "prefetch": prefetch, "validate": validate, **priorities},
            ObsLayout.of(observation_space, frame_stack),
            action_spec(action_space),
            (device, as_bool("frames_on_device", frames_on_device)),
            seed,
            None if path is None else as_path(path),
        )

    def _make_core(self, **arguments: Any) -> Any:
        return _core.PrioritizedBuffer(**arguments)

    def sample(self, batch_size: int, beta: float | None = None, out: Batch | None = None) -> Batch:
        """Draws a batch in proportion to the priorities, with replacement; see `Batch` for its fields.

        Args:
            batch_size: B, at least 1.
            beta: importance-sampling exponent of this batch; None for the buffer's own.
            out: a batch of this buffer and size to refill, instead of a new one.

        A batch is yours: its memory is not reused while you hold it or a view of it.
        Raises ValueError when no row can be drawn yet, or every priority is zero.
        """
        exponent = None if beta is None else as_float("beta", beta)
        return self._placement.sample(self._core, batch_size, exponent, out)

    def update_priorities(self, key: Any, priorities: Any) -> int:
        """Sets the priorities of rows by the keys of a batch; returns how many rows were still there.

        Args:
            key: [B] integers from `Batch.key`. A key whose row was overwritten is ignored and not counted; of duplicates
                the last wins, and each is counted.
            priorities: [B] real, finite, at least 0: the unweighted |TD error| or cross-entropy. Torch tensors too.

        Raises ValueError, TypeError or IndexError (a key that was never issued), and changes nothing then.
        """
        return int(self._core.update_priorities(key, self._placement.to_numpy(priorities)))

    @property
    def alpha(self) -> float:
        """Priority exponent; setting it rewrites every leaf from the raw priorities."""
        return float(self._core.alpha)

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        self._core.alpha = as_float("alpha", alpha)

    @property
    def beta(self) -> float:
        """Importance-sampling exponent of `sample(beta=None)`."""
        return float(self._core.beta)

    @beta.setter
    def beta(self, beta: float) -> None:
        self._core.beta = as_float("beta", beta)

    @property
    def max_priority(self) -> float:
        """The largest priority ever given: what a new row gets."""
        return float(self._core.max_priority)
