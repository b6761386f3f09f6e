"""Records a mediocre player of CartPole into a buffer, and has d3rlpy's discrete CQL learn from it offline.

pip install "mujigae[d3rlpy]" gymnasium[classic-control] && python d3rlpy_offline.py
"""

from __future__ import annotations

import argparse

import d3rlpy
import gymnasium
import numpy as np
import torch

import mujigae
from mujigae.integrations.d3rlpy import to_d3rlpy

NUM_EPISODES, NUM_UPDATES = 200, 3000


def play(env: gymnasium.Env, policy, buffer: mujigae.ReplayBuffer | None = None, seed: int = 0) -> float:
    """The return of an episode; its rows go into the buffer."""
    obs, _ = env.reset(seed=seed)
    total, terminated, truncated = 0.0, False, False
    while not (terminated or truncated):
        action = policy(obs)
        next_obs, reward, terminated, truncated, _ = env.step(action)
        if buffer is not None:
            buffer.add(obs, action, reward, next_obs, terminated, truncated)
        obs, total = next_obs, total + float(reward)
    return total


def as_arrays(buffer: mujigae.ReplayBuffer) -> d3rlpy.dataset.ReplayBuffer:
    """The dataset of d3rlpy's users who have arrays: without the successor of a cut episode's last row."""
    found = list(buffer.episodes())
    columns = [
        [one.obs[:-1] for one in found],
        *([getattr(one, name) for one in found] for name in ("action", "reward", "terminated", "truncated")),
    ]
    obs, action, *rest = (np.concatenate(column) for column in columns)
    return d3rlpy.dataset.MDPDataset(obs, action, *(column.astype(np.float32) for column in rest))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--theirs", action="store_true", help="the same rows as a dataset that d3rlpy makes of arrays"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    d3rlpy.seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    env = gymnasium.make("CartPole-v1")
    buffer = mujigae.ReplayBuffer(100_000, env.observation_space, env.action_space, seed=0)

    def mediocre(obs: np.ndarray) -> int:
        """Follows the pole, half of the time."""
        return int(obs[2] + obs[3] > 0) if rng.random() < 0.5 else int(rng.integers(2))

    recorded = [play(env, mediocre, buffer, seed) for seed in range(NUM_EPISODES)]
    algorithm = d3rlpy.algos.DiscreteCQLConfig(learning_rate=1e-3, batch_size=64, alpha=0.5).create(
        device="cpu"
    )
    algorithm.fit(
        as_arrays(buffer) if arguments.theirs else to_d3rlpy(buffer),  # the one line
        n_steps=NUM_UPDATES,
        n_steps_per_epoch=NUM_UPDATES,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    )
    learned = [play(env, lambda obs: int(algorithm.predict(obs[None])[0]), seed=seed) for seed in range(20)]
    print(f"mean return of what was recorded: {np.mean(recorded):.1f}")
    print(f"mean return of what was learned: {np.mean(learned):.1f}")


if __name__ == "__main__":
    main()
