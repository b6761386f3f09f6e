"""Actions on their way to the environments: what those do with them reaches no row."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from mujigae.envs.steps import StepStream


class Greedy(gymnasium.Env[Any, Any]):
    """Writes into the actions that it gets."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, **_: Any) -> Any:
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        action *= 0.0
        return np.zeros(1, np.float32), 0.0, False, False, {}


@pytest.mark.parametrize("sent", [False, True])
def test_row_keeps_its_action_where_the_environment_writes_into_it(sent: bool) -> None:
    stream, action = StepStream(SyncVectorEnv([Greedy, Greedy])), np.full((2, 2), 0.5, np.float32)
    stream.reset()
    if sent:
        stream.send(action)
    steps = stream.receive() if sent else stream.step(action)
    np.testing.assert_array_equal(steps.action, np.full((2, 2), 0.5))
    np.testing.assert_array_equal(action, np.full((2, 2), 0.5))
    stream.close()
