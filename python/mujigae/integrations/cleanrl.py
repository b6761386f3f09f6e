"""mujigae's engine in CleanRL's single files: buffers with the names, arguments and batches of theirs.

    from mujigae.integrations.cleanrl import ReplayBuffer                # dqn_atari.py, c51_atari.py, dqn.py, c51.py, ...
    from mujigae.integrations.cleanrl import PrioritizedReplayBuffer     # rainbow_atari.py, below its own class

CleanRL's scripts say of an episode's end only whether it is terminal, and give the reset observation as the successor of
a terminal row (nothing is bootstrapped from it). The engine recognises that an episode was cut where the next
observation is not the successor before it. Needs torch, which the scripts bring.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

import mujigae
from mujigae.errors import require

torch: Any = require("torch", "cleanrl")

__all__ = ["PrioritizedBatch", "PrioritizedReplayBuffer", "ReplayBuffer", "ReplayBufferSamples"]

_STACK = 4  # of CleanRL's Atari wrappers


class ReplayBufferSamples(NamedTuple):
    """A batch of `ReplayBuffer`; B is the batch size."""

    observations: Any  #: [B, *obs_shape], in the dtype of the space
    actions: Any  #: [B, action_dim]
    next_observations: Any  #: as observations
    dones: Any  #: [B, 1] float32: terminal
    rewards: Any  #: [B, 1] float32


class PrioritizedBatch(NamedTuple):
    """A batch of `PrioritizedReplayBuffer`."""

    observations: Any  #: [B, *obs_shape] uint8
    actions: Any  #: [B, 1] int64
    rewards: Any  #: [B, 1] float32: the n-step return
    next_observations: Any  #: as observations
    dones: Any  #: [B, 1] bool: terminal
    indices: Any  #: [B]: for update_priorities
    weights: Any  #: [B, 1] float32
    discounts: Any  #: [B, 1] float32: gamma^m (1 - done) for the m steps that the window really has


class ReplayBuffer:
    """For `cleanrl_utils.buffers.ReplayBuffer`.

    Args:
        buffer_size: rows over all environments.
        observation_space, action_space: those of one environment.
        device: of the batches; "auto": CUDA where there is one.
        n_envs: environments, E.
        optimize_memory_usage: accepted; a frame is never stored twice, and the successor of a cut episode stays true.
        handle_timeout_termination: accepted; `done` of `add` has to mean terminal, as it does in CleanRL's scripts.
        frame_stack: k when axis 0 of an observation is a rolling stack of k frames; "auto": 4 for uint8 observations of shape
            [4, H, W], else none.
        seed: of the buffer's generator; None draws it from NumPy's global one, which the scripts seed.
        **options: further ones of `mujigae.ReplayBuffer`: compress, path, prefetch, validate.

    `replay` is the engine's buffer.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: Any,
        action_space: Any,
        device: Any = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        frame_stack: int | str | None = "auto",
        seed: int | None = None,
        **options: Any,
    ) -> None:
        obs = observation_space.shape or (1,), np.dtype(observation_space.dtype)
        dtype = np.dtype(action_space.dtype)
        action = (math.prod(action_space.shape),), np.dtype(np.float32) if dtype == np.float64 else dtype
        self._rows = _Rows(
            mujigae.ReplayBuffer, buffer_size, obs, action, device, n_envs, frame_stack, seed, options
        )
        self.replay = self._rows.replay

    def add(self, obs: Any, next_obs: Any, action: Any, reward: Any, done: Any, infos: Any = None) -> None:
        """Adds one row of each environment [E, ...]; `done` [E] is terminal, `infos` is not read."""
        self._rows.add(obs, next_obs, action, reward, done)

    def sample(self, batch_size: int) -> ReplayBufferSamples:
        """Draws a batch with replacement. Raises ValueError before the first row."""
        batch = self.replay.sample(batch_size)
        return ReplayBufferSamples(
            observations=batch.obs,
            actions=batch.action,
            next_observations=batch.next_obs,
            dones=batch.terminated[:, None].float(),
            rewards=batch.reward[:, None],
        )

    def size(self) -> int:
        """Rows of one environment."""
        return int(len(self.replay) // self.replay.num_envs)

    def reset(self) -> None:
        """Forgets every row."""
        self.replay.clear()


class PrioritizedReplayBuffer:
    """For the class of this name in `rainbow_atari.py`.

    Args:
        capacity: rows.
        obs_shape: of an observation, uint8.
        device: of the batches.
        n_step: steps in a return.
        gamma: discount of one step.
        alpha, beta, eps: as in the script, which sets `beta` before every step.
        frame_stack, seed, **options: as `ReplayBuffer`.

    Every start can be drawn, the last n_step - 1 of an episode too; no window crosses an episode. Where one was cut, a window
    is shorter: `discounts` of the batch has its discount, which the script's gamma^n does not.
    """

    def __init__(
        self,
        capacity: int,
        obs_shape: tuple[int, ...],
        device: Any,
        n_step: int,
        gamma: float,
        alpha: float = 0.6,
        beta: float = 0.4,
        eps: float = 1e-6,
        *,
        frame_stack: int | str | None = "auto",
        seed: int | None = None,
        **options: Any,
    ) -> None:
        obs, action = (tuple(obs_shape), np.dtype(np.uint8)), ((1,), np.dtype(np.int64))
        options |= {"n_step": n_step, "gamma": gamma, "alpha": alpha, "beta": beta, "eps": eps}
        self._rows = _Rows(
            mujigae.PrioritizedReplayBuffer, capacity, obs, action, device, 1, frame_stack, seed, options
        )
        self.replay = self._rows.replay

    @property
    def beta(self) -> float:
        """Importance-sampling exponent."""
        return float(self.replay.beta)

    @beta.setter
    def beta(self, beta: float) -> None:
        self.replay.beta = beta

    @property
    def size(self) -> int:
        """Rows that can be drawn."""
        return len(self.replay)

    def add(self, obs: Any, action: Any, reward: Any, next_obs: Any, done: Any) -> None:
        """Adds one row [1, ...]; `done` is terminal."""
        self._rows.add(obs, next_obs, action, reward, done)

    def sample(self, batch_size: int) -> PrioritizedBatch:
        """Draws a batch in strata, in proportion to the priorities. Raises ValueError while no window is complete."""
        batch = self.replay.sample(batch_size)
        return PrioritizedBatch(
            observations=batch.obs,
            actions=batch.action,
            rewards=batch.reward[:, None],
            next_observations=batch.next_obs,
            dones=batch.terminated[:, None],
            indices=batch.key,
            weights=batch.weight[:, None],
            discounts=batch.discount[:, None],
        )

    def update_priorities(self, indices: Any, priorities: Any) -> None:
        """Sets the priorities |priorities| [B] of the rows of a batch that are still there."""
        self.replay.update_priorities(indices, np.abs(priorities))


class _Rows:
    """What the two buffers share: the engine, and how a row of the scripts becomes one of its own."""

    def __init__(
        self,
        make: Any,
        capacity: int,
        obs: tuple[tuple[int, ...], Any],
        action: tuple[tuple[int, ...], Any],
        device: Any,
        num_envs: int,
        frame_stack: int | str | None,
        seed: int | None,
        options: dict[str, Any],
    ) -> None:
        if isinstance(frame_stack, str):
            if frame_stack != "auto":
                raise ValueError(f"frame_stack: expected 'auto', a number or None, got {frame_stack!r}")
            is_stack = len(obs[0]) == 3 and obs[0][0] == _STACK and obs[1] == np.uint8
            frame_stack = _STACK if is_stack else None
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._obs, self._action, self._stack = obs, action, frame_stack or 1
        self.replay = make(
            max(capacity, num_envs),
            obs,
            action,
            num_envs=num_envs,
            frame_stack=frame_stack,
            device=str(device),
            seed=int(np.random.randint(2**31)) if seed is None else seed,
            **options,
        )

    def add(self, obs: Any, next_obs: Any, action: Any, reward: Any, done: Any) -> None:
        num_envs = self.replay.num_envs
        shape, dtype = self._obs
        before, after = (
            np.asarray(part, dtype=dtype).reshape((num_envs, *shape)) for part in (obs, next_obs)
        )
        terminated = np.asarray(done, dtype=bool).reshape(num_envs)
        if self._stack > 1 and terminated.any():
            after = self._rolled(before, after, terminated)
        self.replay.add(
            before,
            np.asarray(action).astype(self._action[1]).reshape((num_envs, *self._action[0])),
            np.asarray(reward).reshape(num_envs),
            after,
            terminated,
            np.zeros(num_envs, dtype=bool),
        )

    def _rolled(self, before: Any, after: Any, terminated: Any) -> Any:
        """The successors of terminal rows, which may be stacks after the reset, with the older frames of this episode."""
        num_channels = self._obs[0][0] // self._stack
        rolled = after.copy()
        rolled[terminated, :-num_channels] = before[terminated, num_channels:]
        return rolled
