"""The tiny environments obey Gymnasium's rules, and their optima are what their docstrings say."""

from __future__ import annotations

import itertools
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import mujigae.envs  # noqa: F401  (registers them)
from mujigae.envs.catch import Catch
from mujigae.envs.chain import Chain, chain_optimal_values


@pytest.mark.parametrize("env_id", ["mujigae/Chain-v0", "mujigae/Loop-v0", "mujigae/Catch-v0"])
def test_gymnasium_checker_has_no_complaint(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(env_id).unwrapped)


def test_chain_optimal_values_of_three_cells_by_hand() -> None:
    # Cell 1: right brings 1; left costs 0.1, then the best from cell 0. Cell 0: right costs 0.1, then 1.
    right_0, right_1 = -0.1 + 0.9 * 1.0, 1.0
    expected = [[-0.1 + 0.9 * right_0, right_0], [-0.1 + 0.9 * right_0, right_1]]
    np.testing.assert_allclose(chain_optimal_values(3, 0.9), expected, atol=1e-12)


@pytest.mark.parametrize(("num_states", "gamma"), [(2, 0.9), (6, 0.99), (6, 1.0), (9, 0.5)])
def test_chain_optimal_values_solve_the_bellman_equation_of_the_environment(
    num_states: int, gamma: float
) -> None:
    env, values = Chain(num_states), np.zeros((num_states, 2))
    for _ in range(400):
        backed_up = np.zeros_like(values)
        for cell, action in itertools.product(range(num_states - 1), range(2)):
            env.reset()
            for _ in range(cell):
                env.step(np.int64(1))
            obs, reward, terminated, _, _ = env.step(np.int64(action))
            backed_up[cell, action] = reward + gamma * (not terminated) * values[int(obs.argmax())].max()
        if np.array_equal(values, backed_up):
            break
        values = backed_up
    np.testing.assert_allclose(chain_optimal_values(num_states, gamma), values[:-1], atol=1e-12)


def test_chain_scores_of_going_right_and_left() -> None:
    env = gymnasium.make("mujigae/Chain-v0")
    scores = {}
    for action in (0, 1):
        env.reset()
        score, length, over = 0.0, 0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(np.int64(action))
            score, length, over = score + float(reward), length + 1, terminated or truncated
        scores[action] = (round(score, 9), length, terminated, truncated)
    assert scores == {0: (-4.0, 40, False, True), 1: (0.6, 5, True, False)}


def test_loop_is_only_ever_truncated_after_five_steps() -> None:
    env = gymnasium.make("mujigae/Loop-v0")
    env.reset()
    steps = [env.step(np.int64(t % 2)) for t in range(5)]
    assert [step[1] for step in steps] == [1.0] * 5
    assert [step[2] for step in steps] == [False] * 5
    assert [step[3] for step in steps] == [False] * 4 + [True]
    assert {tuple(step[0]) for step in steps} == {(1.0,)}


def catch_scores(choose: str) -> dict[int, float]:
    """Score by the column of the ball, over enough episodes to see them all."""
    env, scores = Catch(), {}
    for seed in range(60):
        obs, _ = env.reset(seed=seed)
        column, over, length, score = int(obs[0, 0].argmax()), False, 0, 0.0
        while not over:
            paddle = int(obs[0, -1].argmax())
            action = 1 + np.sign(column - paddle) if choose == "follow" else 1
            obs, reward, over, _, _ = env.step(np.int64(action))
            score, length = score + reward, length + 1
        assert length == 9
        scores[column] = score
    return scores


def test_following_the_ball_always_catches_it() -> None:
    assert catch_scores("follow") == dict.fromkeys(range(5), 1.0)


def test_standing_still_catches_only_the_ball_in_the_middle() -> None:
    assert catch_scores("stay") == {0: -1.0, 1: -1.0, 2: 1.0, 3: -1.0, 4: -1.0}


def test_catch_shows_the_ball_and_the_paddle_and_nothing_else() -> None:
    env = Catch()
    obs, _ = env.reset(seed=0)
    assert obs.dtype == np.uint8
    assert obs.shape == (1, 10, 5)
    moved, *_ = env.step(np.int64(2))
    expected = np.zeros_like(obs)
    expected[0, 1, obs[0, 0].argmax()] = expected[0, 9, 3] = 255  # a row lower; from column 2 to column 3
    np.testing.assert_array_equal(moved, expected)


def test_pictures_show_where_things_are() -> None:
    catch = Catch(render_mode="rgb_array")
    obs, _ = catch.reset(seed=0)
    np.testing.assert_array_equal(catch.render()[::24, ::24, 1], obs[0])
    chain = Chain(render_mode="rgb_array")
    chain.reset()
    chain.step(np.int64(1))
    assert [int(pixel.min()) for pixel in chain.render()[16, 16::32]] == [40, 255, 40, 40, 40, 60]


def test_chain_of_one_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="num_states"):
        Chain(num_states=1)
