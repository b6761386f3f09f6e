"""Numbers that change over a run as pure functions of the step: nothing to save, exact after a resume."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["SCHEDULES", "Schedule", "asymptotic", "exponential", "linear"]

Schedule = Callable[[float, float, int, int], float]


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


def asymptotic(start: float, end: float, num_steps: int, step: int) -> float:
    """end + (start - end) exp(-step / num_steps): each `num_steps` leave 37% of the way to `end`, which is never reached."""
    if num_steps == 0:
        return end
    return end + (start - end) * math.exp(-step / num_steps)


SCHEDULES: dict[str, Schedule] = {"linear": linear, "exponential": exponential, "asymptotic": asymptotic}
