"""The agents of the packages around Stable-Baselines3 on mujigae's replay buffer: sb3-contrib (PyTorch) and SBX (JAX).

The test marked `learns` trains SBX's with their buffer and with ours, from the same seed, with the hyperparameters of RL Baselines3
Zoo: ours has to solve the environment, or to be as good as theirs where that does not.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np
import pytest
from sb3_agents import CARTPOLE, score, small, weights
from sb3_streams import all_rows

from mujigae.integrations.stable_baselines3 import ReplayBuffer

OURS = {"replay_buffer_class": ReplayBuffer}


class Agent(NamedTuple):
    """One algorithm of another package."""

    package: str
    name: str
    env_id: str = "Pendulum-v1"

    def __str__(self) -> str:
        return f"{self.package}.{self.name}"

    def make(self, **options: Any) -> Any:
        """The agent; skips where its package is missing."""
        pytest.importorskip(self.package, reason=f"needs {self.package}")
        return getattr(importlib.import_module(self.package), self.name)("MlpPolicy", self.env_id, **options)


AGENTS = [
    Agent("sb3_contrib", "QRDQN", "CartPole-v1"),
    Agent("sb3_contrib", "TQC"),
    Agent("sb3_contrib", "CrossQ"),
    Agent("sbx", "DQN", "CartPole-v1"),
    *(Agent("sbx", name) for name in ("SAC", "TD3", "TQC", "CrossQ")),
]
every_agent = pytest.mark.parametrize("agent", AGENTS, ids=str)


def parameters(model: Any) -> list[Any]:
    """Copies of the arrays of the networks."""
    states = [state for name, state in sorted(vars(model.policy).items()) if name.endswith("_state")]
    if not states:
        return [weight.numpy() for weight in weights(model)]
    import jax  # the policy is one of SBX

    return [np.array(leaf) for state in states for leaf in jax.tree.leaves(state.params)]


@every_agent
def test_agent_collects_the_rows_that_its_own_buffer_holds(agent: Agent) -> None:
    model = agent.make(**small(learning_starts=10**6, buffer_size=1000))
    theirs = model.replay_buffer
    ours = ReplayBuffer(1000, model.observation_space, model.action_space, device="cpu")
    add = theirs.add

    def add_to_both(*arguments: Any) -> None:
        add(*arguments)
        ours.add(*arguments)

    theirs.add = add_to_both
    model.learn(300)
    assert all_rows(ours) == all_rows(theirs)
    assert len(ours.replay) == 300


@every_agent
def test_agent_learns_the_same_from_the_only_row_of_either_buffer(agent: Agent) -> None:
    learned = []
    for options in ({}, OURS):
        model = agent.make(**small(learning_starts=10**6, train_freq=1), **options).learn(1)
        model.train(gradient_steps=3, batch_size=4)
        learned.append(parameters(model))
    assert len(learned[0]) > 0
    for theirs, ours in zip(*learned, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@every_agent
def test_agent_trains_on_returns_of_three_steps(agent: Agent) -> None:
    options = OURS | {"replay_buffer_kwargs": {"n_steps": 3, "gamma": 0.99}}
    model = agent.make(**small(train_freq=1), **options).learn(15)
    before = parameters(model)
    model.learn(30, reset_num_timesteps=False)
    assert not all(np.array_equal(old, new) for old, new in zip(before, parameters(model), strict=True))
    assert model.replay_buffer.replay.n_step == 3


# --- learning ---

SOLVED = {"CartPole-v1": 475.0, "Pendulum-v1": -200.0}


@pytest.mark.learns
@pytest.mark.parametrize(
    ("agent", "num_steps", "settings"),
    [
        (AGENTS[3], 50_000, CARTPOLE),
        (AGENTS[4], 6_000, {"learning_rate": 1e-3}),
    ],
    ids=["sbx.DQN", "sbx.SAC"],
)
def test_agent_learns_as_well_as_with_its_own_buffer(
    agent: Agent, num_steps: int, settings: dict[str, Any]
) -> None:
    theirs, ours = (
        score(agent.make(seed=1, **settings, **options).learn(num_steps), agent.env_id)
        for options in ({}, OURS)
    )
    print(f"{agent}: {theirs:.1f} with its own buffer, {ours:.1f} with ours")
    assert ours >= min(theirs, SOLVED[agent.env_id])
