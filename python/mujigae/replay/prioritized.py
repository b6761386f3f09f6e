"""The replay buffer that draws in proportion to priorities."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mujigae.replay.buffer import ReplayBuffer, Seed
from mujigae.replay.samplers import Proportional

__all__ = ["PrioritizedReplayBuffer"]


class PrioritizedReplayBuffer(ReplayBuffer):
    """A replay buffer that draws rows in proportion to their priorities (Schaul et al. 2016).

    The same as `ReplayBuffer(..., sampler=Proportional(alpha, beta, eps, stratified))`; see both for the arguments.
    """

    _sampler_class = Proportional

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
        extras: Mapping[str, Any] | None = None,
        compress: bool = False,
        path: str | os.PathLike[str] | None = None,
        device: Any = None,
        frames_on_device: bool = False,
        prefetch: int = 0,
        validate: bool = True,
        seed: Seed = None,
    ) -> None:
        super().__init__(
            capacity,
            observation_space,
            action_space,
            num_envs=num_envs,
            frame_stack=frame_stack,
            n_step=n_step,
            gamma=gamma,
            sampler=Proportional(alpha, beta, eps, stratified),
            extras=extras,
            compress=compress,
            path=path,
            device=device,
            frames_on_device=frames_on_device,
            prefetch=prefetch,
            validate=validate,
            seed=seed,
        )
