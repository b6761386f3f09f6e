"""Random play on a frozen lake becomes a Minari dataset; an agent learns from the dataset alone.

pip install "mujigae[minari]" && python minari_offline.py
"""

from __future__ import annotations

import os
import tempfile

import gymnasium
import numpy as np

import mujigae
from mujigae.integrations.gymnasium import RecordTransitions

GAMMA = 0.9


def make() -> gymnasium.Env:
    return gymnasium.make("FrozenLake-v1", is_slippery=False)


def record(num_steps: int) -> mujigae.ReplayBuffer:
    """Transitions of random play."""
    env = make()
    buffer = mujigae.ReplayBuffer(num_steps, env.observation_space, env.action_space)
    env = RecordTransitions(env, buffer)
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(num_steps):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return buffer


def learn(buffer: mujigae.ReplayBuffer, num_updates: int) -> np.ndarray:
    """Q-learning in a table, from the rows of the buffer."""
    values = np.zeros((16, 4))
    for _ in range(num_updates):
        batch = buffer.sample(256)
        target = batch.reward + batch.discount * values[batch.next_obs].max(axis=1)
        values[batch.obs, batch.action] = target
    return values


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = folder
        from mujigae.integrations.minari import from_minari, to_minari

        dataset = to_minari(record(20_000), "examples/frozen-lake-v0", env=make(), algorithm_name="random")
        print(f"{dataset.total_steps} steps in {dataset.total_episodes} episodes")
        buffer = from_minari(dataset, gamma=GAMMA, seed=0)  # or the id of any local dataset
        values = learn(buffer, 300)

    env = make()
    obs, _ = env.reset()
    num_steps, terminated, truncated = 0, False, False
    while not (terminated or truncated):
        obs, reward, terminated, truncated, _ = env.step(int(values[obs].argmax()))
        num_steps += 1
    print(f"the goal is reached in {num_steps} steps" if reward else "the goal is not reached")


if __name__ == "__main__":
    main()
