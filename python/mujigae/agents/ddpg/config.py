"""The part of a run's configuration of DDPG and TD3 (Lillicrap et al. 2016, Fujimoto et al. 2018). Importing this needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from mujigae.agents.continuous.config import NoiseConfig
from mujigae.config.checks import Count, NotNegativeNumber

__all__ = ["DDPGConfig"]


@dataclass(frozen=True)
class DDPGConfig(NoiseConfig):
    """Raises ConfigError that names the field, what was expected and what came."""

    num_critics: Count = 1
    """Critics whose least value is the target (DDPG: 1; TD3: 2)."""
    policy_period_updates: Count = 1
    """Updates of the critics between those of the actor and of all targets (DDPG: 1; TD3: 2)."""
    target_noise: NotNegativeNumber = 0.0
    """Standard deviation of the noise on the target's action (DDPG: 0; TD3: 0.2)."""
    target_noise_clip: NotNegativeNumber = 0.5
    """Most that this noise changes a number of the action (TD3: 0.5)."""
