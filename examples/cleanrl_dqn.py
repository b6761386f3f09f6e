"""DQN in one file with a buffer of CleanRL's interface; in CleanRL's own scripts the same line changes.

pip install "mujigae[cleanrl]" && python cleanrl_dqn.py
"""

from __future__ import annotations

import argparse

import gymnasium
import numpy as np
import torch
from torch import nn

# from cleanrl_utils.buffers import ReplayBuffer
from mujigae.integrations.cleanrl import ReplayBuffer  # the one line

GAMMA, BATCH_SIZE, FIRST_UPDATE, UPDATE_PERIOD, TARGET_PERIOD = 0.99, 128, 1_000, 10, 500


def action_values() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2))


class Agent:
    def __init__(self) -> None:
        self.online, self.target = action_values(), action_values()
        self.optimizer = torch.optim.Adam(self.online.parameters(), lr=2.5e-4)

    def act(self, obs: np.ndarray, epsilon: float, rng: np.random.Generator) -> np.ndarray:
        greedy = self.online(torch.as_tensor(obs)).argmax(1).numpy()
        return np.where(rng.random(len(obs)) < epsilon, rng.integers(2, size=len(obs)), greedy)

    def learn(self, buffer: ReplayBuffer) -> None:
        batch = buffer.sample(BATCH_SIZE)
        with torch.no_grad():
            best = self.target(batch.next_observations).amax(1, keepdim=True)
        target = batch.rewards + GAMMA * (1 - batch.dones) * best  # [B, 1]
        loss = nn.functional.mse_loss(self.online(batch.observations).gather(1, batch.actions), target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    mode = gymnasium.vector.AutoresetMode.SAME_STEP
    envs = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")], autoreset_mode=mode)
    agent = Agent()
    buffer = ReplayBuffer(10_000, envs.single_observation_space, envs.single_action_space, "cpu")
    returns, score = [], 0.0
    obs, _ = envs.reset(seed=args.seed)
    for step in range(args.steps):
        epsilon = max(0.05, 1 - 0.95 * step / (0.5 * args.steps))
        action = agent.act(obs, epsilon, rng)
        next_obs, reward, terminated, truncated, info = envs.step(action)
        score += reward[0]
        is_end = terminated[0] or truncated[0]
        successor = np.stack([info["final_obs"][0]]) if is_end else next_obs
        buffer.add(obs, successor, action, reward, terminated, info)
        if is_end:
            returns.append(score)
            score = 0.0
        obs = next_obs
        if step > FIRST_UPDATE and step % UPDATE_PERIOD == 0:
            agent.learn(buffer)
        if step % TARGET_PERIOD == 0:
            agent.target.load_state_dict(agent.online.state_dict())
    print(f"return {np.mean(returns[-20:]):.1f} over the last 20 of {len(returns)} episodes")


if __name__ == "__main__":
    main()
