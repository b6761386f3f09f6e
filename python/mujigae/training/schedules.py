"""The exponent of the importance weights over a run: a pure function of the step, exact after a resume."""

from __future__ import annotations

from mujigae.config.run import Run
from mujigae.exploration.schedules import linear

__all__ = ["beta_at"]


def beta_at(run: Run, step: int) -> float:
    """The exponent of the importance weights at `step`, linear from the first update on (Schaul et al. 2016, section 3.4).

    It is at its end after `beta_steps`, or with the budget.
    """
    replay, first = run.replay, run.replay.first_update_steps
    num_steps = run.budget.steps - first if replay.beta_steps is None else replay.beta_steps
    return linear(replay.beta_start, replay.beta_end, num_steps, max(step - first, 0))
