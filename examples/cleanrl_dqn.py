"""CleanRL's dqn.py for Gymnasium 1.1 and newer; in CleanRL's own scripts the same line changes.

pip install "mujigae[cleanrl]" && python cleanrl_dqn.py
"""

from __future__ import annotations

import argparse
import random

import gymnasium as gym
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

# from cleanrl_utils.buffers import ReplayBuffer
from mujigae.integrations.cleanrl import ReplayBuffer  # the one line


def linear_schedule(start: float, end: float, duration: float, t: int) -> float:
    return max((end - start) / duration * t + start, end)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)

    mode = gym.vector.AutoresetMode.SAME_STEP
    makers = [lambda: gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))]
    envs = gym.vector.SyncVectorEnv(makers, autoreset_mode=mode)
    envs.single_action_space.seed(args.seed)

    def network() -> torch.nn.Module:
        layers = torch.nn.Linear(4, 120), torch.nn.ReLU(), torch.nn.Linear(120, 84), torch.nn.ReLU()
        return torch.nn.Sequential(*layers, torch.nn.Linear(84, 2))

    q_network, target_network = network(), network()
    target_network.load_state_dict(q_network.state_dict())
    optimizer = torch.optim.Adam(q_network.parameters(), lr=2.5e-4)
    rb = ReplayBuffer(10_000, envs.single_observation_space, envs.single_action_space, "cpu")
    returns = []
    obs, _ = envs.reset(seed=args.seed)
    for global_step in range(args.steps):
        if random.random() < linear_schedule(1, 0.05, 0.5 * args.steps, global_step):
            actions = np.array([envs.single_action_space.sample()])
        else:
            actions = q_network(torch.Tensor(obs)).argmax(dim=1).numpy()
        next_obs, rewards, terminations, truncations, infos = envs.step(actions)
        real_next_obs = next_obs.copy()
        if truncations[0] or terminations[0]:
            real_next_obs[0] = infos["final_obs"][0]
            returns.append(float(infos["final_info"]["episode"]["r"][0]))
        rb.add(obs, real_next_obs, actions, rewards, terminations, infos)
        obs = next_obs
        if global_step > 1000 and global_step % 10 == 0:
            data = rb.sample(128)
            with torch.no_grad():
                target_max = target_network(data.next_observations).max(dim=1).values
                td_target = data.rewards.flatten() + 0.99 * target_max * (1 - data.dones.flatten())
            old_val = q_network(data.observations).gather(1, data.actions).squeeze()
            loss = F.mse_loss(td_target, old_val)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if global_step % 500 == 0:
            target_network.load_state_dict(q_network.state_dict())
    print(f"return {np.mean(returns[-20:]):.1f} over the last 20 of {len(returns)} episodes")


if __name__ == "__main__":
    main()
