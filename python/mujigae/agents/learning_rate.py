"""The step size of agents that learn by gradients, over a run. Importing this needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mujigae.config.checks import Count, Positive
from mujigae.config.run import AgentConfig, Needs, Run
from mujigae.exploration.schedules import SCHEDULES

__all__ = ["LearningRateConfig", "learning_rate_at", "updates_of_budget"]


@dataclass(frozen=True)
class LearningRateConfig(AgentConfig):
    """Raises ConfigError that names the field, what was expected and what came."""

    learning_rate: Positive = 3e-4
    """Step size of the optimizer."""
    learning_rate_schedule: Literal["linear", "exponential", "asymptotic"] = "linear"
    """How the step size goes from learning_rate to learning_rate_end; the words mean what they mean for epsilon."""
    learning_rate_end: Positive | None = None
    """Last step size; None: it stays as it is."""
    learning_rate_updates: Count | None = None
    """Updates until learning_rate_end; None: as many as the budget of steps has when the run begins."""

    def needs(self) -> tuple[Needs, ...]:
        names = ("learning_rate_schedule", "learning_rate_updates")
        return (Needs("--learning-rate-end", self.learning_rate_end is not None, names),)


def learning_rate_at(run: Run, num_updates: int) -> float:
    """The step size after `num_updates`: from learning_rate to learning_rate_end, where there is one."""
    config = run.agent
    assert isinstance(config, LearningRateConfig)
    if config.learning_rate_end is None:
        return config.learning_rate
    over = config.learning_rate_updates or updates_of_budget(run)
    schedule = SCHEDULES[config.learning_rate_schedule]
    return schedule(config.learning_rate, config.learning_rate_end, over, num_updates)


def updates_of_budget(run: Run) -> int:
    """How many updates a run of `run.budget.steps` makes."""
    replay = run.replay
    rounds = max(run.budget.steps - replay.first_update_steps, 0) // replay.learn_period_steps
    return rounds * replay.num_updates
