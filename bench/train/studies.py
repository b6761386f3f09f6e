"""What is compared at equal steps on one environment (`sweep.py --study`): variants of a preset, each with its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["STUDIES", "Study"]


class Study(NamedTuple):
    """Variants on one environment; no target, no anchor."""

    name: str
    file: str  # of its results, in bench/results/
    env_id: str
    steps: int
    variants: Mapping[str, tuple[str, ...]]  # a preset and its options
    wrapper: tuple[str, ...] = ()  # as a task's

    @property
    def presets(self) -> tuple[str, ...]:
        """What a sweep is asked for."""
        return tuple(self.variants)

    def command(self, variant: str) -> list[str]:
        """What `mujigae train` gets, but for the seed."""
        return [*self.variants[variant], "--env", self.env_id, "--steps", str(self.steps)]


# 32 samples a step, in fewer and larger updates. The target is copied after as many steps in each; the step size stays,
# or doubles, as the root of the batch does.
_LARGER = ("--batch-size", "128", "--learn-period-steps", "4", "--target-update-period-updates", "250")
_BATCHES = {
    "batch-32": ("dqn",),
    "batch-128": ("dqn", *_LARGER),
    "batch-128-lr-5e-4": ("dqn", *_LARGER, "--learning-rate", "5e-4"),
}

STUDIES = {
    study.name: study
    for study in (
        Study(
            f"batches-{game}",
            f"minatar_batches_{game}.json",
            f"MinAtar/{game.capitalize()}-v1",
            300_000,
            _BATCHES,
        )
        for game in ("breakout", "freeway")
    )
}
