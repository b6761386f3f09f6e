"""CEM's part of a run's configuration (Kalashnikov et al. 2018, "QT-Opt"). Importing this needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from mujigae.agents.continuous.config import NoiseConfig
from mujigae.config.checks import Count
from mujigae.config.run import refuse_unless

__all__ = ["CEMConfig"]


@dataclass(frozen=True)
class CEMConfig(NoiseConfig):
    """Raises ConfigError that names the field, what was expected and what came."""

    num_critics: Count = 1
    """Critics whose least value is maximised (QT-Opt: 2)."""
    num_samples: Count = 64
    """Actions that are tried in each iteration (QT-Opt: 64)."""
    num_elites: Count = 6
    """Best of them, which the next iteration's Gaussian is fitted to (QT-Opt: 6)."""
    num_iterations: Count = 2
    """Iterations of the cross-entropy method (QT-Opt: 2); 1 is random shooting."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_most = f"at most num_samples ({self.num_samples})"
        refuse_unless(self.num_elites <= self.num_samples, "num_elites", at_most, self.num_elites)
