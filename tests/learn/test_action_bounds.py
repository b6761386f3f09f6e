"""Actions between the bounds of a Box: exact in its own precision, and an error where there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from mujigae import cli
from mujigae.agents.continuous.spaces import ActionBounds

UNIT = np.array([[-1.0], [-0.25], [0.0], [0.5], [1.0]])


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (-2.0, 2.0, np.float32),
        (0.0, 10.0, np.float32),
        (1e8, 1e8 + 1, np.float64),
        (0.0, 1e39, np.float64),
        (-1e308, 1e308, np.float64),
        (-1e-40, 1e-40, np.float64),
    ],
)
def test_actions_come_back_as_they_went(low: float, high: float, dtype: Any) -> None:
    bounds = ActionBounds("x", Box(low, high, (1,), dtype))
    action = bounds.to_environment(UNIT)
    assert action.dtype == dtype
    np.testing.assert_array_equal(action[[0, -1], 0], np.array([low, high], dtype))
    back = bounds.to_networks(torch.from_numpy(action))
    torch.testing.assert_close(back, torch.from_numpy(UNIT).float())


def test_each_number_has_bounds_of_its_own() -> None:
    low, high = np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32)
    bounds = ActionBounds("x", Box(low, high))
    action = bounds.to_environment(np.array([[-1.0, -1.0], [0.0, 0.5], [1.0, 1.0]]))
    assert action.tolist() == [[-2.0, 0.0], [0.0, 7.5], [2.0, 10.0]]


@pytest.mark.parametrize("preset", ["ddpg", "sac"])
def test_networks_that_diverged_are_not_the_environments_fault(
    preset: str,
    in_a_folder_of_its_own: None,
    without_pictures: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--steps", "400", "--min-replay-steps", "64", "--best-episodes", "0", "--hidden-sizes", "8"]
    rate = ["--learning-rate", "1e20", "--log-period-steps", "400"]
    assert cli.main(["train", preset, "--env", "Pendulum-v1", *options, *rate]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "mujigae: training diverged: the networks give no finite action; try a learning_rate below 1e+20"
    )
