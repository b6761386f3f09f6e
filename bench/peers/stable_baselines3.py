"""Stable-Baselines3 2.9.2: its replay buffers, fed as its VecEnv feeds them, also as CleanRL's dqn_atari.py uses them; its DQN.

They are uniform. Speed: `NStepReplayBuffer` for three steps, `ReplayBuffer` for one. Training: plain DQN, without any of Rainbow's parts,
at the hyperparameters of its zoo for Atari; what only that needs is imported there.
"""

from __future__ import annotations

import pickle
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common import buffers

from bench.core.subject import GAMMA, Drawn, Rows, Subject
from mujigae.conformance import Adapter, Batch, Config, NotOffered


class ConformanceAdapter(Adapter):
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


class CleanDqnAdapter(ConformanceAdapter):
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


class SpeedSubject(Subject):
    """Time limits are handled, as is its default. It stores both stacks of a row."""

    name = "stable-baselines3 (uniform)"
    version = metadata.version("stable-baselines3")
    packages = ("stable-baselines3", "torch", "numpy")
    is_prioritized = False

    def atari(self, capacity: int, num_envs: int = 1) -> Any:
        image: Any = spaces.Box(0, 255, (4, 84, 84), np.uint8)
        options: dict[str, Any] = {"n_envs": num_envs, "device": "cpu", "n_steps": 3, "gamma": GAMMA}
        action = spaces.Discrete(2**31 - 1)
        return Replay(buffers.NStepReplayBuffer(capacity, image, action, **options), num_envs)

    def vector(self, capacity: int, is_prioritized: bool) -> Any:
        if is_prioritized:
            raise NotOffered("priorities")
        return self._small(capacity, 17, spaces.Box(-np.inf, np.inf, (6,), np.float32))

    def uniform(self, capacity: int) -> Any:
        return self._small(capacity, 4, spaces.Discrete(2**31 - 1))

    def _small(self, capacity: int, num_obs: int, action: Any) -> Any:
        obs: Any = spaces.Box(-np.inf, np.inf, (num_obs,), np.float32)
        return Replay(buffers.ReplayBuffer(capacity, obs, action, device="cpu"), 1)


class Replay:
    """One of its buffers."""

    def __init__(self, buffer: Any, num_envs: int) -> None:
        self.buffer = buffer
        self.infos: dict[bool, list[dict[str, Any]]] = {
            limit: [{"TimeLimit.truncated": limit}] * num_envs for limit in (False, True)
        }

    def add(self, step: Rows) -> None:
        infos = self.infos[bool(step.truncated[0])]
        done = step.terminated | step.truncated
        self.buffer.add(step.obs, step.next_obs, step.action, step.reward, done, infos)

    def extend(self, rows: Rows) -> None:
        for t in range(len(rows.reward)):
            self.add(Rows(*(column[t : t + 1] for column in rows)))

    def sample(self, batch_size: int) -> Drawn:
        drawn = self.buffer.sample(batch_size)
        discount = (GAMMA if drawn.discounts is None else drawn.discounts) * (1 - drawn.dones)
        obs, next_obs = drawn.observations, drawn.next_observations
        return Drawn(obs, drawn.actions, drawn.rewards, next_obs, discount, None, None)

    def update(self, key: Any, priorities: Any) -> None:
        """Uniform."""


class Training:
    """`DQN` on one environment; one update of 32 in four steps."""

    name = "Stable-Baselines3 DQN (plain)"
    version = metadata.version("stable-baselines3")
    packages = ("torch", "numpy", "gymnasium", "ale-py", "opencv-python-headless")

    def train(self, gate: Any, seed: int, learning_starts: int, capacity: int) -> None:
        import ale_py
        import gymnasium
        from stable_baselines3.common.env_util import make_atari_env
        from stable_baselines3.common.vec_env import VecFrameStack

        gymnasium.register_envs(ale_py)

        def after_step(_locals: Any, _globals: Any) -> bool:
            gate.passed(1)
            return True

        env = VecFrameStack(make_atari_env("PongNoFrameskip-v4", n_envs=1, seed=seed), n_stack=4)
        agent = DQN(
            "CnnPolicy",
            env,
            learning_rate=1e-4,
            buffer_size=capacity,
            learning_starts=learning_starts,
            batch_size=32,
            train_freq=4,
            gradient_steps=1,
            target_update_interval=1_000,
            exploration_fraction=0.1,
            exploration_final_eps=0.01,
            seed=seed,
            device="cpu",
        )
        agent.learn(10_000_000, callback=after_step)
