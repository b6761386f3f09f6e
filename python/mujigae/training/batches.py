"""What an agent learns from: n-step transitions, or sequences of rows where its `view` says so."""

from __future__ import annotations

from typing import Any

from mujigae.agents.agent import Agent
from mujigae.config.run import Run, refuse_unless

__all__ = ["check_view", "draw_batch"]


def draw_batch(buffer: Any, agent: Agent, batch_size: int, beta: float | None = None) -> Any:
    """A `mujigae.Batch`, or the `mujigae.SequenceBatch` of the agent's own length and burn-in."""
    if agent.view == "sequences":
        return buffer.sample_sequences(batch_size, agent.sequence_length, agent.burn_in, beta=beta)
    return buffer.sample(batch_size, beta=beta)


def check_view(config: Run, agent: type[Agent]) -> None:
    """Raises ConfigError for options of the replay that sequences have no use for."""
    if agent.view == "sequences":
        for name, expected in (("n_step", 1), ("prefetch", 0)):
            value = getattr(config.replay, name)
            is_for = f"{expected} for {agent.__name__}, which learns from sequences"
            refuse_unless(value == expected, name, is_for, value)
