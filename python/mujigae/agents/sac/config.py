"""SAC's part of a run's configuration (Haarnoja et al. 2018, 2018b). Importing this needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from mujigae.agents.continuous.config import ContinuousConfig
from mujigae.config.checks import Count, Positive

__all__ = ["SACConfig"]


@dataclass(frozen=True)
class SACConfig(ContinuousConfig):
    """Raises ConfigError that names the field, what was expected and what came."""

    num_critics: Count = 2
    """Critics whose least value counts (SAC: 2)."""
    temperature: Positive = 1.0
    """First weight of the entropy against the reward; the only one without learn_temperature."""
    learn_temperature: bool = True
    """Learn the weight of the entropy, so that the entropy comes to target_entropy (Haarnoja et al. 2018b)."""
    target_entropy: float | None = None
    """Entropy that the temperature aims at; None: minus the numbers of an action (Haarnoja et al. 2018b)."""
