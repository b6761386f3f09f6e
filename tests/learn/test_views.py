"""Agents that learn from sequences: the loop draws them as the agent's attributes say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces

import mujigae
from mujigae.agents import Agent, AgentConfig, Run, Update, register, registry
from mujigae.agents.presets import resolve
from mujigae.config.checks import Count, NotNegative
from mujigae.errors import ConfigError
from mujigae.training.loop import build, run
from mujigae.training.precision import time_updates

SMALL = {"steps": 240, "num_envs": 2, "capacity": 200, "min_replay_steps": 40, "batch_size": 6}


@dataclass(frozen=True)
class RecurrentConfig(AgentConfig):
    num_steps: Count = 4
    """Rows that are learned from."""
    num_warming_up: NotNegative = 2
    """Rows before them."""


class Recurrent(Agent):
    """A recurrent unit that predicts rewards from observations, and acts at random."""

    config_class: ClassVar[type[AgentConfig]] = RecurrentConfig
    view = "sequences"
    metrics = ("loss",)

    def __init__(self, run: Run, observation_space: Any, action_space: Any) -> None:
        assert isinstance(run.agent, RecurrentConfig)
        self.sequence_length, self.burn_in = run.agent.num_steps, run.agent.num_warming_up
        self.num_actions, self.rng = int(action_space.n), np.random.default_rng(run.seed)
        torch.manual_seed(0)
        self.memory = torch.nn.GRU(observation_space.shape[0], 8, batch_first=True)
        self.head = torch.nn.Linear(8, 1)
        self.optimizer = torch.optim.Adam([*self.memory.parameters(), *self.head.parameters()], lr=0.01)
        self.batches: list[mujigae.SequenceBatch] = []

    def act(self, obs: Any, step: int) -> Any:
        return self.rng.integers(self.num_actions, size=len(obs))

    def act_for_evaluation(self, obs: Any, rng: np.random.Generator) -> Any:
        return rng.integers(self.num_actions, size=len(obs))

    def learn(self, batch: Any) -> Update:
        self.batches.append(batch)
        output = self.head(self.memory(batch.obs[:, :-1])[0])[..., 0]  # [B, T]
        mask = batch.mask.float()
        mask[:, : self.burn_in] = 0
        rows = (mask * (output - batch.reward).square()).sum(dim=1) / mask.sum(dim=1)
        loss = (batch.weight * rows).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return Update(rows.detach(), {"loss": loss.detach()})


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", {**registry._REGISTRY})
    register("recurrent", Recurrent)


@pytest.mark.parametrize("prioritized", [False, True])
def test_agent_that_asks_for_sequences_learns_from_sequences_of_its_own_length(prioritized: bool) -> None:
    training = build(
        resolve("recurrent", "CartPole-v1", {**SMALL, "prioritized": prioritized, "num_steps": 5})
    )
    for _ in run(training):
        pass
    agent = training.agent
    assert isinstance(agent, Recurrent)
    assert len(agent.batches) == training.counters.updates > 20
    for batch in agent.batches:
        assert isinstance(batch, mujigae.SequenceBatch)
        assert (batch.obs.shape, batch.reward.shape) == ((6, 2 + 5 + 1, 4), (6, 2 + 5))
        assert batch.mask[:, agent.burn_in].all()
    assert float(training.metrics["loss"]) < 0.5
    assert training.buffer.update_priorities(batch.key, np.ones(6)) == 6 if prioritized else True


@pytest.mark.parametrize(("option", "value", "expected"), [("n_step", 3, 1), ("prefetch", 2, 0)])
def test_options_that_sequences_have_no_use_for_are_refused(option: str, value: int, expected: int) -> None:
    message = f"{option}: expected {expected} for Recurrent, which learns from sequences, got {value}"
    with pytest.raises(ConfigError, match=message):
        build(resolve("recurrent", "CartPole-v1", {**SMALL, option: value}))


def test_update_that_is_timed_is_of_sequences_too() -> None:
    config = resolve("recurrent", "CartPole-v1", SMALL)
    assert min(time_updates(config, spaces.Box(-1, 1, (4,), np.float32), spaces.Discrete(2))) > 0
