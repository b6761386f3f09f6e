"""A double DQN in plain JAX with prioritized replay: CartPole in half a minute on one core, without torch.

pip install "mujigae[jax]" gymnasium[classic-control] && python jax_dqn.py [SEED]
"""

from __future__ import annotations

import sys
from functools import partial

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import mujigae
from mujigae.integrations.gymnasium import RecordTransitions
from mujigae.integrations.jax import to_jax

NUM_ENVS, NUM_STEPS, START, TARGET_PERIOD, LEARNING_RATE = 8, 5000, 125, 100, 5e-4


def make_params(key: jax.Array, sizes: tuple[int, ...]) -> list[tuple[jax.Array, jax.Array]]:
    shapes = zip(jax.random.split(key, len(sizes) - 1), sizes, sizes[1:], strict=False)
    return [(jax.random.normal(k, (m, n)) * (2 / m) ** 0.5, jnp.zeros(n)) for k, m, n in shapes]


@jax.jit
def values(params: list, obs: jax.Array) -> jax.Array:
    for weight, bias in params[:-1]:
        obs = jax.nn.relu(obs @ weight + bias)
    return obs @ params[-1][0] + params[-1][1]  # [B, A]


@partial(jax.jit, donate_argnums=(0, 2))
def update(params: list, target: list, moments: tuple, count: jax.Array, batch: mujigae.Batch) -> tuple:
    """One step of Adam; returns the TD errors [B] as well."""
    rows = jnp.arange(len(batch.reward))
    chosen = values(params, batch.next_obs).argmax(axis=1)
    goal = batch.reward + batch.discount * values(target, batch.next_obs)[rows, chosen]

    def loss(params: list) -> tuple[jax.Array, jax.Array]:
        error = values(params, batch.obs)[rows, batch.action] - goal
        huber = jnp.where(jnp.abs(error) < 1, error**2 / 2, jnp.abs(error) - 0.5)
        return (batch.weight * huber).mean(), jnp.abs(error)

    gradient, error = jax.grad(loss, has_aux=True)(params)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradient)
    second = jax.tree.map(lambda m, g: 0.999 * m + 0.001 * g**2, moments[1], gradient)
    rate = LEARNING_RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (v**0.5 + 1e-8), params, first, second)
    return params, (first, second), error


def main(seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    envs = gymnasium.make_vec("CartPole-v1", num_envs=NUM_ENVS, vectorization_mode="vector_entry_point")
    spaces = envs.single_observation_space, ((), np.int32)  # actions of 32 bits, as JAX has them: no copy
    buffer = mujigae.PrioritizedReplayBuffer(50_000, *spaces, num_envs=NUM_ENVS, n_step=3, seed=seed)
    envs = RecordTransitions(envs, buffer)
    params = target = make_params(jax.random.key(seed), (4, 128, 128, 2))
    moments = tuple(jax.tree.map(jnp.zeros_like, params) for _ in range(2))
    obs, _ = envs.reset(seed=seed)
    for step in range(NUM_STEPS):
        greedy = np.asarray(values(params, obs)).argmax(axis=1)
        is_random = rng.random(NUM_ENVS) < max(0.05, 1 - step / 1000)
        obs, *_ = envs.step(np.where(is_random, rng.integers(2, size=NUM_ENVS), greedy))
        if step >= START:
            batch = to_jax(buffer.sample(128))
            inputs = batch._replace(key=None, probability=None)
            params, moments, error = update(params, target, moments, jnp.float32(step - START + 1), inputs)
            buffer.update_priorities(batch.key, error)
        if step % TARGET_PERIOD == 0:
            target = jax.tree.map(jnp.copy, params)
    lengths = [len(episode.reward) for episode in buffer.episodes() if not episode.is_open]
    print(f"mean return of the last 20 episodes: {np.mean(lengths[-20:]):.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
