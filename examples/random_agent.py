"""An agent of your own, through the ordinary command line; this one draws its actions at random. In this folder:

    mujigae train random_agent:RandomAgent --env CartPole-v1 --steps 2000 --name random
    mujigae train --resume random --steps 4000
    mujigae evaluate random --episodes 10
    mujigae record random

An installed package offers its agent as `mujigae train NAME` by an entry point of the group "mujigae.agents".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mujigae.agents import Agent, Update


class RandomAgent(Agent):
    """Takes any Discrete action; learns nothing; its generator is saved, so a resumed run goes on where it was."""

    def __init__(self, run: Any, observation_space: Any, action_space: Any) -> None:
        self.first, self.num_actions = int(action_space.start), int(action_space.n)
        self.rng = np.random.default_rng(run.seed)

    def act(self, obs: Any, step: int) -> Any:
        return self.first + self.rng.integers(self.num_actions, size=len(obs))

    def act_for_evaluation(self, obs: Any, rng: np.random.Generator) -> Any:
        return self.first + rng.integers(self.num_actions, size=len(obs))

    def learn(self, batch: Any) -> Update:
        return Update()

    def state(self) -> dict[str, Any]:
        return {"rng": self.rng.bit_generator.state}

    def restore(self, tensors: Any, state: Any) -> None:
        self.rng.bit_generator.state = state["rng"]
