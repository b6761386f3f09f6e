"""Q-learning from replay with NumPy alone: eight frozen lakes, every transition recorded by one wrapper.

pip install "mujigae[gymnasium]" && python gymnasium_loop.py
"""

from __future__ import annotations

import gymnasium
import numpy as np

import mujigae
from mujigae.integrations.gymnasium import RecordTransitions

NUM_ENVS, NUM_STEPS, EPSILON, LEARNING_RATE = 8, 3000, 0.3, 0.5


def make() -> gymnasium.Env:
    return gymnasium.make("FrozenLake-v1", is_slippery=False)


def main() -> None:
    rng = np.random.default_rng(0)
    envs = gymnasium.vector.SyncVectorEnv([make] * NUM_ENVS)
    buffer = mujigae.PrioritizedReplayBuffer(
        10_000, envs.single_observation_space, envs.single_action_space, num_envs=NUM_ENVS, gamma=0.9, seed=0
    )
    envs = RecordTransitions(envs, buffer)  # the one line: from here on, step() fills the buffer

    num_obs, num_actions = envs.single_observation_space.n, envs.single_action_space.n
    values = np.zeros((num_obs, num_actions))
    obs, _ = envs.reset(seed=0)
    for _ in range(NUM_STEPS):
        greedy = np.argmax(values[obs] + 1e-6 * rng.random((NUM_ENVS, num_actions)), axis=1)
        action = np.where(rng.random(NUM_ENVS) < EPSILON, rng.integers(num_actions, size=NUM_ENVS), greedy)
        obs, *_ = envs.step(action)
        if len(buffer) < 100:
            continue
        batch = buffer.sample(64)
        target = batch.reward + batch.discount * values[batch.next_obs].max(axis=1)
        error = target - values[batch.obs, batch.action]
        values[batch.obs, batch.action] += LEARNING_RATE * error
        buffer.update_priorities(batch.key, np.abs(error))

    env = make()
    obs, _ = env.reset()
    num_steps, terminated, truncated = 0, False, False
    while not (terminated or truncated):
        obs, reward, terminated, truncated, _ = env.step(int(values[obs].argmax()))
        num_steps += 1
    print(f"{len(buffer)} rows, {sum(not episode.is_open for episode in buffer.episodes())} whole episodes")
    print(f"the goal is reached in {num_steps} steps" if reward else "the goal is not reached")


if __name__ == "__main__":
    main()
