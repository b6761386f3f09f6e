"""A small DQN on CartPole with cpprb's interface, on mujigae's buffer or, to compare, on cpprb's own.

pip install mujigae gymnasium torch && python cpprb_dqn.py
"""

from __future__ import annotations

import argparse
import importlib

import gymnasium
import numpy as np
import torch

MODULES = {"ours": "mujigae.integrations.cpprb", "theirs": "cpprb"}  # import cpprb -> the one line
GAMMA, STEPS, BATCH_SIZE = 0.98, 8000, 64


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--buffer", choices=MODULES, default="ours")
    cpprb = importlib.import_module(MODULES[parser.parse_args().buffer])
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)

    env = gymnasium.make("CartPole-v1")
    buffer = cpprb.PrioritizedReplayBuffer(
        10_000,
        {"obs": {"shape": 4}, "act": {"dtype": np.int64}, "rew": {}, "next_obs": {"shape": 4}, "done": {}},
        alpha=0.6,
    )

    def network() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(4, 128), torch.nn.ReLU(), torch.nn.Linear(128, 2))

    online, target = network(), network()
    optimizer = torch.optim.Adam(online.parameters(), lr=1e-3)
    returns, score = [], 0.0
    obs, _ = env.reset(seed=0)
    for step in range(STEPS):
        epsilon = max(0.05, 1 - step / 2000)
        with torch.no_grad():
            greedy = int(online(torch.from_numpy(obs)).argmax())
        action = int(rng.integers(2)) if rng.random() < epsilon else greedy
        next_obs, reward, terminated, truncated, _ = env.step(action)
        buffer.add(obs=obs, act=action, rew=reward, next_obs=next_obs, done=terminated)
        obs, score = next_obs, score + float(reward)
        if terminated or truncated:
            buffer.on_episode_end()
            returns.append(score)
            obs, score = env.reset()[0], 0.0
        if step < 500 or step % 2:
            continue
        batch = buffer.sample(BATCH_SIZE, beta=0.4)
        rows = {
            name: torch.from_numpy(np.array(batch[name]))
            for name in ("obs", "act", "rew", "next_obs", "done")
        }
        with torch.no_grad():
            bootstrap = target(rows["next_obs"]).max(dim=1, keepdim=True).values
            goal = rows["rew"] + GAMMA * (1 - rows["done"]) * bootstrap
        error = online(rows["obs"]).gather(1, rows["act"]) - goal
        loss = (torch.from_numpy(np.array(batch["weights"]))[:, None] * error.square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        buffer.update_priorities(batch["indexes"], error.detach().abs().numpy().ravel())
        if step % 200 == 0:
            target.load_state_dict(online.state_dict())
    print(f"return {np.mean(returns[-15:]):.1f} over the last 15 of {len(returns)} episodes")


if __name__ == "__main__":
    main()
