"""The presets of the deterministic actor-critic: DDPG, and the three changes that make TD3 of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ENVIRONMENTS", "PRESETS"]

PRESETS: dict[str, Mapping[str, Any]] = {
    "ddpg": {},
    "td3": {"num_critics": 2, "policy_period_updates": 2, "target_noise": 0.2},
}

# The networks, the batch and the random steps of Fujimoto et al. 2018. With two layers of 256 units and batches of 256 td3 reached
# two thirds of what it reaches with these, in as many steps.
ENVIRONMENTS: dict[str, Mapping[str, Any]] = {
    "HalfCheetah-v5": {"hidden_sizes": (400, 300), "batch_size": 100, "min_replay_steps": 10_000},
}
