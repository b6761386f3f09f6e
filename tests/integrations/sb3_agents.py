"""Quick agents of Stable-Baselines3, and how well one plays."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy

# https://github.com/DLR-RM/rl-baselines3-zoo/tree/master/hyperparams: dqn.yml
CARTPOLE = {
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
}


def small(**changes: Any) -> dict[str, Any]:
    """Options of a quick agent; made anew, since SB3 writes into `policy_kwargs`."""
    options = {"buffer_size": 200, "learning_starts": 20, "batch_size": 8, "seed": 0}
    return options | {"policy_kwargs": {"net_arch": [16]}} | changes


def weights(agent: BaseAlgorithm) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in agent.policy.parameters()]


def score(agent: BaseAlgorithm, env_id: str, num_episodes: int = 20) -> float:
    """The mean return of whole games in an environment of its own."""
    env = type(agent)("MlpPolicy", env_id, buffer_size=1).get_env()
    assert env is not None
    env.seed(1000)
    mean, _ = evaluate_policy(agent, env, n_eval_episodes=num_episodes, deterministic=True)
    assert isinstance(mean, float)
    return mean
