"""SBX's DQN (Stable-Baselines3 in JAX) on mujigae's replay buffer, with returns of three steps.

pip install "mujigae[sb3]" sbx-rl && python sbx_dqn.py
"""

from __future__ import annotations

import argparse

from sbx import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from mujigae.integrations.stable_baselines3 import ReplayBuffer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=50_000)
    steps = parser.parse_args().steps
    agent = DQN(
        "MlpPolicy",
        "CartPole-v1",
        replay_buffer_class=ReplayBuffer,  # the one line
        replay_buffer_kwargs={"n_steps": 3, "gamma": 0.99},
        learning_rate=2.3e-3,
        buffer_size=100_000,
        learning_starts=1000,
        batch_size=64,
        train_freq=256,
        gradient_steps=128,
        target_update_interval=10,
        exploration_fraction=0.16,
        exploration_final_eps=0.04,
        seed=1,
    )
    agent.learn(steps)
    mean, _ = evaluate_policy(agent, make_vec_env("CartPole-v1", seed=1000), n_eval_episodes=20)
    print(f"mean return {mean:.1f} over 20 episodes")


if __name__ == "__main__":
    main()
