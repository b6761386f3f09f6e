"""What DQN reads from spaces: pixels are scaled by the bounds of their space, and only pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from mujigae.agents.dqn.agent import DQN
from mujigae.agents.dqn.spaces import check_spaces
from mujigae.agents.presets import resolve

SMALL = {"hidden_sizes": (8,), "head_size": 0, "num_threads": 1}


@pytest.mark.parametrize(
    ("space", "bounds"),
    [
        (spaces.Box(0, 255, (4, 84, 84), np.uint8), (0, 255)),
        (spaces.Box(0, 1, (4, 10, 10), np.uint8), (0, 1)),
        (spaces.Box(0, 10, (7, 7), np.uint8), (0, 10)),
        (spaces.Box(100, 200, (3, 12, 12), np.uint8), (100, 200)),
        (spaces.Box(7, 7, (3, 12, 12), np.uint8), (0, 1)),
        (spaces.Box(0, 1, (8,), np.uint8), (0, 1)),  # one-hot, a board, a mask
        (spaces.Box(0, 255, (128,), np.uint8), (0, 1)),
        (spaces.Box(0, 1, (4, 10, 10), bool), (0, 1)),
        (spaces.Box(-1, 1, (3, 12, 12), np.float32), (0, 1)),
    ],
)
def test_only_images_of_uint8_are_scaled_and_by_their_own_bounds(
    space: spaces.Box, bounds: tuple[float, float]
) -> None:
    assert check_spaces(space, spaces.Discrete(2)).pixel_bounds == bounds


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spaces.Box(0, 255, (1, 4, 4), np.uint8), [0.0, 1.0]),
        (spaces.Box(100, 200, (1, 4, 4), np.uint8), [0.0, 1.0]),
        (spaces.Box(0, 1, (1, 4, 4), np.uint8), [0.0, 1.0]),
        (spaces.Box(0, 9, (3,), np.uint8), [0.0, 9.0]),
        (spaces.Box(-4, 4, (3,), np.int8), [-4.0, 4.0]),
        (spaces.Box(0, 1, (1, 4, 4), bool), [0.0, 1.0]),
    ],
)
def test_networks_of_an_agent_see_observations_scaled_so(space: Any, expected: list[float]) -> None:
    torso = "mlp" if len(space.shape) == 1 else "tiny_pixels"
    agent = DQN(resolve("dqn", "CartPole-v1", {**SMALL, "torso": torso}), space, spaces.Discrete(2))
    ends = torch.from_numpy(np.stack([space.low, space.high]))
    for network in (agent.online, agent.target):
        seen = network.scaled(ends)
        assert seen.dtype == torch.float32
        assert [seen[0].unique().tolist(), seen[1].unique().tolist()] == [[value] for value in expected]
