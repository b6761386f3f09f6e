"""PFRL's Rainbow, put together as in its example for Atari and run by its own training loop, on ale-py's vector environment.

PFRL 0.4.0 is written for gym, whose Atari no longer installs; a thin environment gives its loop what it asks for, and costs less
than PFRL's wrappers would.
"""

from __future__ import annotations

import tempfile
from importlib import metadata
from typing import Any

import numpy as np
import pfrl
import torch
from ale_py.vector_env import AtariVectorEnv
from pfrl.q_functions import DistributionalDuelingDQN


class Pong:
    """One game with gym's old interface: stacks of four frames, clipped rewards, no-ops at a reset."""

    def __init__(self, seed: int) -> None:
        self.games = AtariVectorEnv(
            "pong", num_envs=1, noop_max=30, use_fire_reset=True, reward_clipping=True
        )
        self.num_actions = int(self.games.single_action_space.n)
        self.seed: int | None = seed

    def reset(self) -> Any:
        """The game over is reset by the step after it; only the first reset is one."""
        if self.seed is None:
            return self.step(0)[0]
        obs, _ = self.games.reset(seed=self.seed)
        self.seed = None
        return obs[0].copy()

    def step(self, action: int) -> tuple[Any, float, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, _ = self.games.step(np.array([action]))
        return obs[0].copy(), float(reward[0]), bool(terminated[0] or truncated[0]), {}


class Training:
    """One environment; one update of 32 in four steps; noise, duels and distributions, three steps, priorities."""

    name = "PFRL Rainbow"
    version = metadata.version("pfrl")
    packages = ("torch", "numpy", "gym", "ale-py")

    def train(self, gate: Any, seed: int, learning_starts: int, capacity: int) -> None:
        pfrl.utils.set_random_seed(seed)
        env = Pong(seed)
        network = DistributionalDuelingDQN(env.num_actions, 51, -10, 10)
        pfrl.nn.to_factorized_noisy(network, sigma_scale=0.5)
        optimizer = torch.optim.Adam(network.parameters(), 6.25e-5, eps=1.5e-4)
        replay = pfrl.replay_buffers.PrioritizedReplayBuffer(
            capacity, alpha=0.5, beta0=0.4, betasteps=2_500_000, num_steps=3, normalize_by_max="memory"
        )
        agent = pfrl.agents.CategoricalDoubleDQN(
            network,
            optimizer,
            replay,
            gpu=-1,
            gamma=0.99,
            explorer=pfrl.explorers.Greedy(),
            minibatch_size=32,
            replay_start_size=learning_starts,
            target_update_interval=32_000,
            update_interval=4,
            batch_accumulator="mean",
            phi=lambda obs: np.asarray(obs, dtype=np.float32) / 255,
        )
        hooks = [lambda env, agent, step: gate.passed(1)]
        with tempfile.TemporaryDirectory() as folder:
            pfrl.experiments.train_agent(agent, env, 10_000_000, folder, step_hooks=hooks)
