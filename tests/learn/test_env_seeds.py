"""Seeds of environments: each its own, and the same again for the same seed."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from mujigae.envs.steps import StepStream, first_env_seed


def test_environment_seeds_are_distinct_and_of_31_bits() -> None:
    seeds = [range(first, first + 64) for first in (first_env_seed(seed, 64) for seed in range(200))]
    assert len({s for run in seeds for s in run}) == 200 * 64
    assert min(min(run) for run in seeds) >= 0
    assert max(max(run) for run in seeds) < 2**31
    assert first_env_seed(7, 64) == first_env_seed(7, 64)


def test_every_environment_is_seeded_differently_and_the_same_seed_repeats_it() -> None:
    def observations(seed: int) -> list[Any]:
        stream = StepStream(gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="sync"))
        stream.reset(seed)
        return [stream.step(np.array([t % 2, 0, 1])).next_obs.tolist() for t in range(30)]

    assert observations(3) == observations(3)
    assert observations(3) != observations(4)
    start = StepStream(gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="sync")).reset(3)
    assert len({tuple(row) for row in start.tolist()}) == 3
