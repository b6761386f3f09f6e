"""Q-learning from replay with NumPy alone: sixteen cliffs in an asynchronous pool, four answers at a time.

pip install "mujigae[envpool]" && python envpool_async.py
"""

from __future__ import annotations

import envpool
import numpy as np

import mujigae
from mujigae.integrations.envpool import RecordTransitions

NUM_ENVS, BATCH_SIZE, NUM_ANSWERS, EPSILON, LEARNING_RATE = 16, 4, 6000, 0.3, 0.5


def make(num_envs: int, batch_size: int) -> envpool.GymnasiumEnvPool:
    return envpool.make_gymnasium(
        "CliffWalking-v0", num_envs=num_envs, batch_size=batch_size, max_episode_steps=100, num_threads=2
    )


def main() -> None:
    rng = np.random.default_rng(0)
    pool = make(NUM_ENVS, BATCH_SIZE)
    buffer = mujigae.PrioritizedReplayBuffer(
        20_000, pool.observation_space, pool.action_space, num_envs=NUM_ENVS, gamma=0.95, seed=0
    )
    pool = RecordTransitions(pool, buffer)  # the one line: from here on, recv() fills the buffer

    values = np.zeros((pool.observation_space.n, pool.action_space.n))
    pool.async_reset()
    for _ in range(NUM_ANSWERS):
        obs, _, _, _, info = pool.recv()
        greedy = np.argmax(values[obs] + 1e-6 * rng.random((BATCH_SIZE, pool.action_space.n)), axis=1)
        action = np.where(rng.random(BATCH_SIZE) < EPSILON, rng.integers(4, size=BATCH_SIZE), greedy)
        pool.send(action, info["env_id"])
        if len(buffer) < 100:
            continue
        batch = buffer.sample(64)
        target = batch.reward + batch.discount * values[batch.next_obs].max(axis=1)
        error = target - values[batch.obs, batch.action]
        values[batch.obs, batch.action] += LEARNING_RATE * error
        buffer.update_priorities(batch.key, np.abs(error))

    one = make(1, 1)
    obs, _ = one.reset()
    num_steps, terminated, truncated = 0, False, False
    while not (terminated or truncated):
        obs, _, (terminated,), (truncated,), _ = one.step(values[obs].argmax(axis=1))
        num_steps += 1
    print(f"{len(buffer)} rows, {sum(not episode.is_open for episode in buffer.episodes())} whole episodes")
    print(f"the goal is reached in {num_steps} steps" if terminated else "the goal is not reached")


if __name__ == "__main__":
    main()
