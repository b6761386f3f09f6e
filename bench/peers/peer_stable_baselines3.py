"""Stable-Baselines3 2.9.2: its replay buffers, fed as its VecEnv feeds them; also as CleanRL's dqn_atari.py uses them."""

from __future__ import annotations

import pickle
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from stable_baselines3.common import buffers

from mujigae.conformance import Adapter, Batch, Config, NotOffered


class StableBaselines3(Adapter):
    """`ReplayBuffer`, `NStepReplayBuffer` or `DictReplayBuffer`; time limits handled unless memory is optimised."""

    name = "stable-baselines3"
    version = metadata.version("stable-baselines3")
    offers = frozenset(["num_envs", "frame_stack", "n_step", "dict_obs", "compact"])
    runs_without_torch = False

    def __init__(self, config: Config) -> None:
        if len({"n_step", "dict_obs", "compact"} & config.options()) > 1:
            raise NotOffered("n_steps, Dict observations and optimize_memory_usage together")
        self.config = config
        space: Any = spaces.Box(0, 255, config.obs_shape, np.uint8)
        options: dict[str, Any] = {"n_envs": config.num_envs, "device": "cpu"}
        cls: Any = buffers.ReplayBuffer
        if config.dict_obs:
            space = spaces.Dict({"image": space, "speed": spaces.Box(-np.inf, np.inf, (1,), np.float32)})
            cls = buffers.DictReplayBuffer
        elif config.n_step > 1:
            cls = buffers.NStepReplayBuffer
            options |= {"n_steps": config.n_step, "gamma": config.gamma}
        elif config.compact:
            options |= {"optimize_memory_usage": True, "handle_timeout_termination": False}
        self.buffer: Any = cls(config.capacity, space, spaces.Discrete(2**31 - 1), **options)

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
        limits = truncated & ~terminated  # as its DummyVecEnv reports them
        if self.config.compact and limits.any():
            raise NotOffered("time limits with optimize_memory_usage (the constructor refuses both)")
        infos = [{"TimeLimit.truncated": bool(limit)} for limit in limits]
        self.buffer.add(obs, next_obs, action, reward, terminated | truncated, infos)

    def sample(self, batch_size: int) -> Batch:
        drawn = self.buffer.sample(batch_size)
        done = drawn.dones.numpy()[:, 0]
        discount = self.config.gamma if drawn.discounts is None else drawn.discounts.numpy()[:, 0]
        action, reward = drawn.actions.numpy()[:, 0], drawn.rewards.numpy()[:, 0]
        obs, next_obs = _numpy(drawn.observations), _numpy(drawn.next_observations)
        return Batch(obs, action, reward, next_obs, discount * (1 - done), done, np.ones(batch_size), None)

    def clear(self) -> None:
        self.buffer.reset()

    def save(self, path: Path) -> None:
        with path.open("wb") as file:  # as its save_to_pkl, which save_replay_buffer calls
            pickle.dump(self.buffer, file, protocol=pickle.HIGHEST_PROTOCOL)

    @classmethod
    def load(cls, path: Path, config: Config) -> Self:
        self = cls(config)
        self.buffer = pickle.loads(path.read_bytes())
        return self

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        twin.buffer = pickle.loads(pickle.dumps(self.buffer))
        return twin


class CleanDqn(StableBaselines3):
    """With optimize_memory_usage and without time limits, and only terminations as ends: CleanRL's dqn_atari.py, c51_atari.py."""

    name = "stable-baselines3, as CleanRL's DQN uses it"
    offers = frozenset(["frame_stack", "compact"])

    def __init__(self, config: Config) -> None:
        self.config = config
        self.buffer = buffers.ReplayBuffer(
            config.capacity,
            spaces.Box(0, 255, config.obs_shape, np.uint8),
            spaces.Discrete(2**31 - 1),
            "cpu",
            optimize_memory_usage=True,
            handle_timeout_termination=False,
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
        self.buffer.add(obs, next_obs, action, reward, terminated, [{}])


def _numpy(obs: Any) -> Any:
    return {name: part.numpy() for name, part in obs.items()} if isinstance(obs, dict) else obs.numpy()
