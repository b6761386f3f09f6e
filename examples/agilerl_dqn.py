"""AgileRL's DQN with the engine's buffer: CartPole in about a minute on one core; `--theirs` runs it with AgileRL's own.

pip install "mujigae[agilerl]" peft gymnasium[classic-control] && python agilerl_dqn.py
"""

from __future__ import annotations

import argparse
import warnings

import gymnasium
import numpy as np
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from agilerl.algorithms import DQN
    from agilerl.components import ReplayBuffer as TheirBuffer
    from agilerl.components.data import Transition
    from agilerl.training.train_off_policy import transition_to_tensordict

    from mujigae.integrations.agilerl import ReplayBuffer

NUM_STEPS, START = 12_000, 500


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--theirs", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    np.random.seed(arguments.seed)
    env = gymnasium.make("CartPole-v1")
    memory = TheirBuffer(50_000) if arguments.theirs else ReplayBuffer(50_000, seed=arguments.seed)
    agent = DQN(env.observation_space, env.action_space, batch_size=64, lr=1e-3, tau=0.01, double=True)
    agent.set_training_mode(True)

    lengths, length = [], 0
    obs, _ = env.reset(seed=arguments.seed)
    for step in range(NUM_STEPS):
        action = agent.get_action(obs[None], epsilon=max(0.05, 1 - step / 3000))
        next_obs, reward, terminated, truncated, _ = env.step(int(action[0]))
        rows = (obs[None], action, next_obs[None], np.array([reward]), np.array([terminated]))
        row = transition_to_tensordict(Transition(*rows))
        row.batch_size = torch.Size([1])
        memory.add(row)
        obs, length = next_obs, length + 1
        if terminated or truncated:
            lengths.append(length)
            obs, length = env.reset()[0], 0
        if step >= START:
            agent.learn(memory.sample(64))
    print(f"mean return of the last 20 episodes: {np.mean(lengths[-20:]):.1f}")


if __name__ == "__main__":
    main()
