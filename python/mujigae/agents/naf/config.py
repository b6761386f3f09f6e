"""NAF's part of a run's configuration (Gu et al. 2016). Importing this needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from mujigae.agents.continuous.config import NoiseConfig

__all__ = ["NAFConfig"]


@dataclass(frozen=True)
class NAFConfig(NoiseConfig):
    """Those of every agent that explores by noise; its network is one torso with three outputs."""
