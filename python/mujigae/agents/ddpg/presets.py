"""The presets of the deterministic actor-critic: DDPG, and the three changes that make TD3 of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PRESETS"]

PRESETS: dict[str, Mapping[str, Any]] = {
    "ddpg": {},
    "td3": {"num_critics": 2, "policy_period_updates": 2, "target_noise": 0.2},
}
