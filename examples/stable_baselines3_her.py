"""Hindsight experience replay with Stable-Baselines3's DQN: flip bits until they are those of the goal.

pip install "mujigae[sb3]" && python stable_baselines3_her.py
"""

from __future__ import annotations

import argparse

import numpy as np
from stable_baselines3 import DQN
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.evaluation import evaluate_policy

# from stable_baselines3 import HerReplayBuffer
from mujigae.integrations.stable_baselines3 import HerReplayBuffer  # the one line

NUM_BITS = 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6000)
    steps = parser.parse_args().steps
    env = BitFlippingEnv(n_bits=NUM_BITS, continuous=False, max_steps=NUM_BITS)
    agent = DQN(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        buffer_size=20_000,
        learning_starts=100,
        learning_rate=1e-3,
        batch_size=64,
        train_freq=1,
        target_update_interval=100,
        gamma=0.95,
        policy_kwargs={"net_arch": [64]},
        seed=0,
    )
    agent.learn(steps)
    returns, _ = evaluate_policy(agent, env, n_eval_episodes=50, return_episode_rewards=True, warn=False)
    reached = np.mean(np.asarray(returns) > -NUM_BITS)
    print(f"goal reached in {reached:.0%} of 50 episodes")


if __name__ == "__main__":
    main()
