"""Noise on continuous actions: its spread, its memory, its bounds, and that it is saved."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mujigae.exploration import ACTION_NOISES, GaussianNoise, OrnsteinUhlenbeckNoise


def test_gaussian_noise_has_its_scale_and_no_memory() -> None:
    noise, rng = GaussianNoise(0.2), np.random.default_rng(0)
    drawn = np.stack([noise.act(np.zeros((50, 2)), step, rng) for step in range(200)])
    assert drawn.std() == pytest.approx(0.2, rel=0.03)
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.02


def test_ornstein_uhlenbeck_noise_is_worked_out_by_hand() -> None:
    class Ones:
        def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
            return np.ones(shape)

    noise = OrnsteinUhlenbeckNoise(scale=0.1, theta=0.25)
    seen = [noise.act(np.full((1, 1), 0.5), step, Ones()).item() for step in range(3)]  # type: ignore[arg-type]
    # x: 0.1, then 0.75 * 0.1 + 0.1 = 0.175, then 0.75 * 0.175 + 0.1 = 0.23125
    assert seen == pytest.approx([0.6, 0.675, 0.73125])


def test_ornstein_uhlenbeck_noise_persists_with_the_spread_of_its_formula() -> None:
    noise, rng = OrnsteinUhlenbeckNoise(0.1, 0.15), np.random.default_rng(0)
    drawn = np.stack([noise.act(np.zeros((200, 1)), step, rng) for step in range(400)])[50:]
    assert drawn.std() == pytest.approx(0.1 / np.sqrt(1 - 0.85**2), rel=0.05)
    assert np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1] == pytest.approx(0.85, abs=0.01)
    assert abs(np.corrcoef(drawn[:, 0, 0], drawn[:, 1, 0])[0, 1]) < 0.4, "each environment has its own"


@pytest.mark.parametrize("name", sorted(ACTION_NOISES))
def test_actions_stay_within_their_bounds(name: str) -> None:
    noise, rng = ACTION_NOISES[name](5.0, 0.15), np.random.default_rng(0)
    action = noise.act(np.array([[0.9, -0.9]] * 100), 0, rng)
    assert (action.min(), action.max()) == (-1.0, 1.0)


@pytest.mark.parametrize("name", sorted(ACTION_NOISES))
def test_noise_goes_on_where_it_was_saved(name: str) -> None:
    first, rng = ACTION_NOISES[name](0.3, 0.15), np.random.default_rng(0)
    mean = np.zeros((3, 2))
    first.act(mean, 0, rng)
    second = ACTION_NOISES[name](0.3, 0.15)
    second.restore(json.loads(json.dumps(first.state())))
    rngs = np.random.default_rng(1), np.random.default_rng(1)
    np.testing.assert_array_equal(first.act(mean, 1, rngs[0]), second.act(mean, 1, rngs[1]))


def test_state_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="exploration: expected no state of Gaussian noise"):
        GaussianNoise(0.1).restore([[0.0]])
    for state in ([0.0], [[float("nan")]]):
        with pytest.raises(ValueError, match=r"exploration: expected noise \[E, A\]"):
            OrnsteinUhlenbeckNoise(0.1, 0.15).restore(state)
