"""Agents that explore by noise on their best action. Shapes: E environments, A numbers of an action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mujigae.agents.continuous.agent import ContinuousAgent
from mujigae.agents.continuous.config import NoiseConfig
from mujigae.config.run import Run
from mujigae.exploration import ACTION_NOISES

__all__ = ["NoisyContinuousAgent"]


class NoisyContinuousAgent(ContinuousAgent):
    """Base of agents that write all that `ContinuousAgent` asks for but `explore`; the noise is saved with the agent."""

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        super().__init__(run, observation_space, action_space)
        config = run.agent
        assert isinstance(config, NoiseConfig)
        make_noise = ACTION_NOISES[config.action_noise]
        self.exploration = make_noise(config.action_noise_scale, config.action_noise_theta)

    def explore(self, obs: Tensor, step: int) -> NDArray[np.float64]:
        best = self.best(obs, self.noise_rng).cpu().numpy()
        return self.exploration.act(best, step, self.explore_rng)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "exploration": self.exploration.state()}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        super().restore(tensors, state)
        self.exploration.restore(state["exploration"])
