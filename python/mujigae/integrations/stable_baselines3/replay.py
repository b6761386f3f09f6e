"""Uniform and prioritized replay buffers for Stable-Baselines3's algorithms, on mujigae's engine.

One transition's way through it:

1. SB3 hands over [E, ...] arrays, `done`, and `infos` that say which `done` was a time limit; a final `next_obs` is
   the true one already. An observation that stacks its frames on the last axis is turned so that they lie on axis 0.
2. The engine stores each frame once, works out n-step returns when a batch is drawn, and keeps episodes apart,
   also when `learn` resets the environments behind the buffer's back.
3. A batch is turned back, normalised if SB3 asks for it, and handed over as torch tensors; on the CPU they share
   the batch's memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common import buffers
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

import mujigae
from mujigae.integrations.stable_baselines3.observations import PLAIN, Part, parts_of

__all__ = ["PrioritizedReplayBuffer", "PrioritizedSamples", "ReplayBuffer"]


class ReplayBuffer(buffers.ReplayBuffer):
    """For `replay_buffer_class=` of DQN, QR-DQN, SAC, TD3, DDPG and the like, with any observation space of theirs.

    The first seven arguments come from SB3, the others from `replay_buffer_kwargs`. E is `n_envs`.

    Args:
        buffer_size: transitions over all environments; all of them are used, however many environments there are.
        optimize_memory_usage: accepted; a frame is never stored twice anyway.
        handle_timeout_termination: False treats an episode cut by its time limit as one that terminated.
        frame_stack: what VecFrameStack stacks, so that every frame is stored once; `{"name": k}` for Dict spaces.
        channels_order: the axis of the stack, "first" or "last"; None finds out as VecFrameStack does. `{"name": order}`
            for Dict spaces. (Images reach a buffer channels first, since SB3 wraps them in VecTransposeImage.)
        n_steps: steps in a return. SB3's own argument of this name does not reach a custom buffer.
        gamma: discount of one step, the same as the algorithm's; needed when n_steps > 1, and unused otherwise.
        float32: keep float64 observations as float32, in half the bytes. SB3's networks read float32 whatever it is; rewards that
            HerReplayBuffer has computed for other goals are those of the rounded goals.
        seed: of the buffer's generator; None draws it from NumPy's global generator, which SB3 seeds with the model's
            seed: a seeded run is repeatable.
        **options: further ones of `mujigae.ReplayBuffer`.

    `pos`, `full` and `size()` count steps of the vector environment, as SB3's do; `replay` is the engine's buffer, and
    `len(replay)` the rows that can be drawn: with n_steps > 1 a row waits until its window is complete. VecNormalize's
    reward normalisation is applied to the n-step return, and so is its clipping. Rows cannot be addressed by index:
    `observations`, `dones` and their like are not there, and HerReplayBuffer needs them.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: th.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        frame_stack: int | Mapping[str, int] | None = None,
        channels_order: str | Mapping[str, str | None] | None = None,
        n_steps: int = 1,
        gamma: float | None = None,
        float32: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        # Past the parent, whose constructor allocates every row.
        buffers.BaseBuffer.__init__(self, buffer_size, observation_space, action_space, device, n_envs=n_envs)
        if n_steps != 1 and gamma is None:
            raise ValueError(
                f"gamma: expected the algorithm's discount, since n_steps is {n_steps}, got None"
            )
        if "n_step" in options:
            raise TypeError("n_step: expected SB3's name for it, n_steps")
        self.buffer_size = max(buffer_size // n_envs, 1)
        self.optimize_memory_usage = optimize_memory_usage
        self.handle_timeout_termination = handle_timeout_termination
        self._parts = parts_of(observation_space, frame_stack, channels_order, float32)
        self.replay = self._make_replay(
            max(buffer_size, n_envs),
            {name: (part.stored_shape, part.dtype) for name, part in self._stored_parts.items()},
            ((self.action_dim,), self._maybe_cast_dtype(action_space.dtype)),
            num_envs=n_envs,
            frame_stack={name: part.stack for name, part in self._stored_parts.items()},
            n_step=n_steps,
            gamma=0.99 if gamma is None else gamma,
            seed=np.random.randint(2**31) if seed is None else seed,
            **options,
        )

    def _make_replay(self, *arguments: Any, **options: Any) -> mujigae.ReplayBuffer:
        return mujigae.ReplayBuffer(*arguments, **options)

    def add(
        self,
        obs: Any,
        next_obs: Any,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Adds one transition of each environment.

        Args:
            obs: [E, *obs_shape], or a dict of those; cast to the space's dtype.
            next_obs: as obs; the final observation where `done`.
            action: [E, *action_shape].
            reward: [E].
            done: [E]: terminated or truncated.
            infos: E dicts; "TimeLimit.truncated" tells the two apart, and ends an episode by itself, as in Stable-Baselines3.

        Raises ValueError, and changes nothing, when `frame_stack` is not what the observations are.
        """
        stored, next_stored = self._stored(obs), self._stored(next_obs)
        is_done = terminated = truncated = np.asarray(done, dtype=bool)
        is_timeout = [bool(info.get("TimeLimit.truncated")) for info in infos]
        if np.count_nonzero(is_done) or any(is_timeout):  # seldom: elsewhere all three are the same
            truncated = np.array(is_timeout) & self.handle_timeout_termination
            terminated = is_done & ~truncated
            has_final = is_done & [info.get("terminal_observation") is not None for info in infos]
            next_stored = {
                name: part.mended(stored[name], next_stored[name], has_final)
                for name, part in self._stored_parts.items()
            }
        self.replay.add(
            stored,
            np.asarray(action).reshape(self.n_envs, self.action_dim),
            np.asarray(reward).reshape(self.n_envs),
            next_stored,
            terminated,
            truncated,
        )
        self.pos += 1
        if self.pos == self.buffer_size:
            self.full, self.pos = True, 0

    def sample(  # type: ignore[override]
        self, batch_size: int, env: VecNormalize | None = None
    ) -> ReplayBufferSamples | DictReplayBufferSamples:
        """Draws a batch with replacement, normalised by `env` if given; B is the batch size.

        Observations are [B, *obs_shape] in the space's dtype (see float32); actions [B, action_dim]; rewards, dones (terminated only) and
        discounts [B, 1] float32. discounts is gamma^m for a window of m steps, 0 where terminated, and None for n_steps=1.
        Raises ValueError when no row can be drawn yet.
        """
        samples = DictReplayBufferSamples if self._is_dict else ReplayBufferSamples
        return samples(**self._tensors(self.replay.sample(batch_size), env))

    def reset(self) -> None:
        """Forgets every transition."""
        super().reset()
        self.replay.clear()

    @property
    def n_steps(self) -> int:
        """Steps in a return."""
        return self.replay.n_step

    @property
    def gamma(self) -> float:
        """Discount of one step."""
        return self.replay.gamma

    @property
    def dones(self) -> np.ndarray:  # type: ignore[override]
        """For SB3 to write into when `learn` is called again with `optimize_memory_usage`: the engine sees the reset itself."""
        return np.zeros((self.buffer_size, self.n_envs), dtype=np.float32)

    def _get_samples(self, batch_inds: np.ndarray, env: VecNormalize | None = None) -> Any:
        raise NotImplementedError("mujigae's rows cannot be addressed by index: override or call sample()")

    @property
    def _stored_parts(self) -> dict[str, Part]:
        """Those that the engine stores."""
        return self._parts

    @property
    def _is_dict(self) -> bool:
        return isinstance(self.observation_space, spaces.Dict)

    def _stored(self, obs: Any) -> dict[str, Any]:
        """An observation as the engine takes it."""
        arrays = obs if self._is_dict else {PLAIN: obs}
        return {name: part.stored(arrays[name], self.n_envs) for name, part in self._stored_parts.items()}

    def _restored(self, obs: dict[str, Any], env: VecNormalize | None) -> Any:
        """A batch of observations as SB3 takes it."""
        arrays = {name: part.restored(obs[name]) for name, part in self._parts.items()}
        normalized: Any = self._normalize_obs(arrays if self._is_dict else arrays[PLAIN], env)
        if self._is_dict:
            return {name: self._tensor(array) for name, array in normalized.items()}
        return self._tensor(normalized)

    def _tensor(self, array: np.ndarray) -> th.Tensor:
        """On the CPU it shares the array's memory, and a call takes a third of the time of `to_torch`."""
        return th.from_numpy(array) if self.device.type == "cpu" else th.as_tensor(array, device=self.device)

    def _tensors(self, batch: mujigae.Batch, env: VecNormalize | None) -> dict[str, Any]:
        def column(array: Any) -> th.Tensor:
            return self._tensor(array[:, None].astype(np.float32, copy=False))

        return {
            "observations": self._restored(batch.obs, env),
            "actions": self._tensor(batch.action),
            "next_observations": self._restored(batch.next_obs, env),
            "dones": column(batch.terminated),
            "rewards": column(self._normalize_reward(batch.reward, env)),
            "discounts": None if self.replay.n_step == 1 else column(batch.discount),
        }


class PrioritizedSamples(NamedTuple):
    """A batch as `ReplayBufferSamples`, with what prioritized replay adds."""

    observations: Any
    actions: th.Tensor
    next_observations: Any
    dones: th.Tensor
    rewards: th.Tensor
    discounts: th.Tensor | None
    weights: th.Tensor  #: [B, 1] float32: (N P(i))^-beta / max over the batch
    keys: np.ndarray  #: [B] int64: for `update_priorities`


class PrioritizedReplayBuffer(ReplayBuffer):
    """Draws transitions in proportion to their priorities. For the prioritized agents of this package: SB3's own would ignore the weights.

    Args: as `ReplayBuffer`; **options are those of `mujigae.PrioritizedReplayBuffer`: alpha, beta, eps, stratified.
    """

    replay: mujigae.PrioritizedReplayBuffer

    def _make_replay(self, *arguments: Any, **options: Any) -> mujigae.PrioritizedReplayBuffer:
        return mujigae.PrioritizedReplayBuffer(*arguments, **options)

    def sample(  # type: ignore[override]
        self, batch_size: int, env: VecNormalize | None = None, beta: float | None = None
    ) -> PrioritizedSamples:
        """As `ReplayBuffer.sample`, by priority; `beta` is the importance-sampling exponent, None the buffer's own."""
        batch = self.replay.sample(batch_size, beta)
        weights = self._tensor(batch.weight[:, None])
        return PrioritizedSamples(**self._tensors(batch, env), weights=weights, keys=batch.key)

    def update_priorities(self, keys: np.ndarray, priorities: Any) -> int:
        """Sets the priorities [B] of the rows with these keys; returns how many were still there."""
        return self.replay.update_priorities(keys, priorities)
