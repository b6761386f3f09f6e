"""Numbers that change over a run as pure functions of the step: nothing to save, exact after a resume."""

from __future__ import annotations

from mujigae.config.run import Config

__all__ = ["beta_at", "epsilon_at", "exponential", "linear"]


def linear(start: float, end: float, num_steps: int, step: int) -> float:
    """A straight line from `start` at step 0 to `end` at `num_steps`, and `end` from there on."""
    if step >= num_steps:
        return end
    return start + (end - start) * (step / num_steps)


def exponential(start: float, end: float, num_steps: int, step: int) -> float:
    """A constant factor per step from `start` at step 0 to `end` at `num_steps`, and `end` from there on."""
    if step >= num_steps:
        return end
    return float(start * (end / start) ** (step / num_steps))


SCHEDULES = {"linear": linear, "exponential": exponential}


def epsilon_at(config: Config, step: int) -> float:
    """The share of random actions at `step`; 0 for noisy networks, which explore by their weights."""
    if config.noisy:
        return 0.0
    schedule = SCHEDULES[config.epsilon_schedule]
    return schedule(config.epsilon_start, config.epsilon_end, config.epsilon_steps, step)


def beta_at(config: Config, step: int) -> float:
    """The exponent of the importance weights at `step`, linear (Schaul et al. 2016, section 3.4)."""
    num_steps = config.steps if config.beta_steps is None else config.beta_steps
    return linear(config.beta_start, config.beta_end, num_steps, step)
