"""Tianshou's DQN on CartPole with mujigae's prioritized buffer; n-step returns are Tianshou's own.

pip install "mujigae[tianshou]" && python tianshou_dqn.py
"""

from __future__ import annotations

import argparse

import gymnasium
import numpy as np
import torch
from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

# from tianshou.data import PrioritizedVectorReplayBuffer
from mujigae.integrations.tianshou import PrioritizedVectorReplayBuffer  # the one line

NUM_ENVS = 4


def make_envs(seed: int) -> DummyVectorEnv:
    envs = DummyVectorEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(NUM_ENVS)])
    envs.seed(seed)
    return envs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20_000)
    steps = parser.parse_args().steps
    np.random.seed(0)
    torch.manual_seed(0)

    action_space = gymnasium.spaces.Discrete(2)
    model = Net(state_shape=(4,), action_shape=2, hidden_sizes=[64, 64])
    policy = DiscreteQLearningPolicy(model=model, action_space=action_space, eps_training=0.1)
    agent = DQN(
        policy=policy,
        optim=AdamOptimizerFactory(lr=1e-3),
        gamma=0.99,
        n_step_return_horizon=3,
        target_update_freq=300,
    )
    buffer = PrioritizedVectorReplayBuffer(20_000, NUM_ENVS, alpha=0.6, beta=0.4)
    collector = Collector(agent, make_envs(0), buffer, exploration_noise=True)
    collector.reset()
    agent.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            test_collector=Collector(agent, make_envs(1)),
            test_step_num_episodes=8,
            max_epochs=max(1, steps // 2000),
            epoch_num_steps=min(steps, 2000),
            collection_step_num_env_steps=20,
            update_step_num_gradient_steps_per_sample=0.2,
            batch_size=64,
            stop_fn=lambda mean_return: mean_return >= 475,
            show_progress=False,
            verbose=False,
        )
    )
    played = Collector(agent, make_envs(2)).collect(n_episode=8, reset_before_collect=True)
    print(f"return {played.returns.mean():.1f} over 8 episodes")
    print(f"{len(buffer)} rows in {buffer.replay.nbytes} bytes")


if __name__ == "__main__":
    main()
