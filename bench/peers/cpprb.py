"""cpprb 11.0.0.

Conformance: every add is the next step of one environment, `on_episode_end` after each end. Speed: `stack_compress` for frames; `next_of`
cannot be had together with Nstep; its arrays become torch tensors. torch is imported for speed alone: the conformance suite also asks
whether a library does without it.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any, Self

import cpprb
import numpy as np

from bench.core.subject import ALPHA, BETA, EPS, GAMMA, Drawn, Rows, Subject
from mujigae.conformance import Adapter, Batch, Config, NotOffered


class ConformanceAdapter(Adapter):
    """`ReplayBuffer` and `PrioritizedReplayBuffer`; the manual's target is rew + gamma^n (1 - done) bootstrap."""

    name = "cpprb"
    version = metadata.version("cpprb")
    offers = frozenset(
        [
            "num_envs",
            "frame_stack",
            "n_step",
            "prioritized",
            "stratified",
            "dict_obs",
            "compact",
            "frames_once",
        ]
    )

    def __init__(self, config: Config) -> None:
        if config.num_envs > 1 and {"n_step", "compact", "frames_once"} & config.options():
            raise NotOffered(
                "several environments with Nstep, next_of or stack_compress: an add is one environment's next step"
            )
        self.config = config
        self.names = ["image", "speed"] if config.dict_obs else ["image"]
        columns: dict[str, Any] = {"act": {"dtype": np.int64}, "rew": {}, "done": {}}
        self.shares_next = config.compact or config.frames_once
        for name in self.names:
            field = (
                {"shape": 1}
                if name == "speed"
                else {"shape": self._turned(config.obs_shape), "dtype": np.uint8}
            )
            columns[name] = field
            if not self.shares_next:
                columns[f"next_{name}"] = field
        options: dict[str, Any] = {"next_of": tuple(self.names)} if self.shares_next else {}
        if config.frames_once:
            options["stack_compress"] = "image"
        if config.n_step > 1:
            following = [f"next_{name}" for name in self.names]
            options["Nstep"] = {"size": config.n_step, "gamma": config.gamma, "rew": "rew", "next": following}
        if config.prioritized:
            self.buffer = cpprb.PrioritizedReplayBuffer(
                config.capacity, columns, alpha=config.alpha, eps=config.eps, check_for_update=True, **options
            )
        else:
            self.buffer = cpprb.ReplayBuffer(config.capacity, columns, **options)

    def _turned(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape if self.config.frame_stack is None else (*shape[1:], shape[0])

    def _fields(self, obs: Any) -> dict[str, Any]:
        """Stacks along the last axis, as stack_compress wants them."""
        parts = obs if self.config.dict_obs else {"image": obs}
        stack = self.config.frame_stack
        return {name: np.moveaxis(a, 1, -1) if stack and name == "image" else a for name, a in parts.items()}

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
        following = {f"next_{name}": array for name, array in self._fields(next_obs).items()}
        self.buffer.add(act=action, rew=reward, done=terminated, **self._fields(obs), **following)
        if (terminated | truncated).any():
            self.buffer.on_episode_end()

    def extend(
        self, obs: Any, action: Any, reward: Any, next_obs: Any, terminated: Any, truncated: Any
    ) -> None:
        self.add(obs, action, reward, next_obs, terminated, truncated)

    def sample(self, batch_size: int) -> Batch:
        if self.config.prioritized:
            drawn = self.buffer.sample(batch_size, beta=self.config.beta)
        else:
            drawn = self.buffer.sample(batch_size)
        done = drawn["done"][:, 0]
        discount = self.config.gamma**self.config.n_step * (1 - done)
        weight = drawn["weights"] if self.config.prioritized else np.ones(batch_size)
        key = drawn["indexes"] if self.config.prioritized else None
        obs, next_obs = self._observations(drawn, ""), self._observations(drawn, "next_")
        return Batch(obs, drawn["act"][:, 0], drawn["rew"][:, 0], next_obs, discount, done, weight, key)

    def _observations(self, drawn: Any, prefix: str) -> Any:
        image = drawn[f"{prefix}image"]
        image = image if self.config.frame_stack is None else np.moveaxis(image, -1, 1)
        return {"image": image, "speed": drawn[f"{prefix}speed"]} if self.config.dict_obs else image

    def update_priorities(self, key: Any, priorities: Any) -> None:
        self.buffer.update_priorities(key, priorities)

    def clear(self) -> None:
        self.buffer.clear()

    def save(self, path: Path) -> None:
        self.buffer.save_transitions(str(path.with_suffix(".npz")))
        path.with_suffix(".npz").rename(path)

    @classmethod
    def load(cls, path: Path, config: Config) -> Self:
        self = cls(config)
        self.buffer.load_transitions(str(path))
        return self


class SpeedSubject(Subject):
    """Frames lie along the last axis, and are handed out as a view with that axis in front."""

    name = "cpprb"
    version = metadata.version("cpprb")
    packages = ("cpprb", "torch", "numpy")

    def atari(self, capacity: int, num_envs: int = 1) -> Any:
        if num_envs > 1:
            raise NotOffered("several environments with Nstep or stack_compress")
        image = {"shape": (84, 84, 4), "dtype": np.uint8}
        n_step = {"size": 3, "gamma": GAMMA, "rew": "rew", "next": "next_obs"}
        options = {"Nstep": n_step, "stack_compress": ["obs", "next_obs"]}
        return Replay(_prioritized(capacity, image, {"dtype": np.int64}, **options), 3, is_image=True)

    def vector(self, capacity: int, is_prioritized: bool) -> Any:
        spaces = {"shape": 17}, {"shape": 6}
        if is_prioritized:
            return Replay(_prioritized(capacity, *spaces), 1)
        return Replay(cpprb.ReplayBuffer(capacity, _columns(*spaces)), 1, is_prioritized=False)

    def uniform(self, capacity: int) -> Any:
        columns = _columns({"shape": 4}, {"dtype": np.int64})
        return Replay(cpprb.ReplayBuffer(capacity, columns), 1, is_prioritized=False)


def _columns(obs: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
    return {"obs": obs, "next_obs": obs, "act": action, "rew": {}, "done": {}}


def _prioritized(capacity: int, obs: dict[str, Any], action: dict[str, Any], **options: Any) -> Any:
    columns = _columns(obs, action)
    return cpprb.PrioritizedReplayBuffer(
        capacity, columns, alpha=ALPHA, eps=EPS, check_for_update=True, **options
    )


class Replay:
    """One of its buffers. Without priorities it stays with NumPy."""

    def __init__(self, buffer: Any, n_step: int, is_image: bool = False, is_prioritized: bool = True) -> None:
        self.buffer, self.is_image, self.is_prioritized = buffer, is_image, is_prioritized
        self.discount = GAMMA**n_step
        if is_prioritized:
            import torch

            self.tensor: Any = torch.as_tensor
        else:
            self.tensor = lambda values: values

    def add(self, step: Rows) -> None:
        obs, next_obs = step.obs, step.next_obs
        if self.is_image:
            obs, next_obs = np.moveaxis(obs, 1, -1), np.moveaxis(next_obs, 1, -1)
        done = step.terminated
        reward = step.reward.copy()  # Nstep adds up in the array that it is given
        self.buffer.add(obs=obs, act=step.action, rew=reward, next_obs=next_obs, done=done)
        if (done | step.truncated).any():
            self.buffer.on_episode_end()

    def extend(self, rows: Rows) -> None:
        """As many rows at once as lie in one episode."""
        ends = np.flatnonzero(rows.terminated | rows.truncated) + 1
        begin = 0
        for end in [*ends.tolist(), len(rows.reward)]:
            if end > begin:
                self.add(Rows(*(column[begin:end] for column in rows)))
            begin = end

    def sample(self, batch_size: int) -> Any:
        if not self.is_prioritized:
            drawn = self.buffer.sample(batch_size)
            weight = key = None
        else:
            drawn = self.buffer.sample(batch_size, beta=BETA)
            weight, key = self.tensor(drawn["weights"]), drawn["indexes"]
        obs, next_obs = self.tensor(drawn["obs"]), self.tensor(drawn["next_obs"])
        if self.is_image:
            obs, next_obs = obs.permute(0, 3, 1, 2), next_obs.permute(0, 3, 1, 2)
        discount = self.tensor(self.discount * (1 - drawn["done"]))
        action, reward = self.tensor(drawn["act"]), self.tensor(drawn["rew"])
        return Drawn(obs, action, reward, next_obs, discount, weight, key)

    def update(self, key: Any, priorities: Any) -> None:
        self.buffer.update_priorities(key, priorities.numpy())
