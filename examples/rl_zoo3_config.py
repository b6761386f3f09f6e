"""Hyperparameters for RL Baselines3 Zoo with mujigae's replay buffer: DQN on CartPole with returns of three steps.

pip install "mujigae[sb3]" rl-zoo3
python -m rl_zoo3.train --algo dqn --env CartPole-v1 --conf-file rl_zoo3_config.py
"""

from __future__ import annotations

from typing import Any

from mujigae.integrations.stable_baselines3 import ReplayBuffer

hyperparams: dict[str, dict[str, Any]] = {
    "CartPole-v1": {
        "n_timesteps": 50_000,
        "policy": "MlpPolicy",
        "learning_rate": 2.3e-3,
        "batch_size": 64,
        "buffer_size": 100_000,
        "learning_starts": 1000,
        "gamma": 0.99,
        "target_update_interval": 10,
        "train_freq": 256,
        "gradient_steps": 128,
        "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04,
        "policy_kwargs": {"net_arch": [256, 256]},
        "replay_buffer_class": ReplayBuffer,  # the one line
        "replay_buffer_kwargs": {"n_steps": 3, "gamma": 0.99},
    }
}
