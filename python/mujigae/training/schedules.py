"""The exponent of the importance weights over a run: of the step, or of the clock where that ends the run."""

from __future__ import annotations

from mujigae.config.run import Run
from mujigae.exploration.schedules import linear

__all__ = ["beta_at"]


def beta_at(run: Run, step: int, seconds: float) -> float:
    """The exponent of the importance weights at `step`, linear from the first update on (Schaul et al. 2016, section 3.4).

    It is at its end after `beta_steps`, or else where the run stops: with its steps or its minutes, of which `seconds` are
    used up, whichever ends it first.
    """
    replay, first = run.replay, run.replay.first_update_steps
    after = max(step - first, 0)
    if replay.beta_steps is not None:
        return linear(replay.beta_start, replay.beta_end, replay.beta_steps, after)
    if after == 0:
        return replay.beta_start
    by_steps = min(after / max(run.budget.steps - first, 1), 1.0)
    by_clock = 0.0 if run.budget.minutes is None else min(seconds / (60 * run.budget.minutes), 1.0)
    return replay.beta_start + (replay.beta_end - replay.beta_start) * max(by_steps, by_clock)
