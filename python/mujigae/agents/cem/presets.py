"""What suits CEM where it differs from the other agents with continuous actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ENVIRONMENTS"]

ENVIRONMENTS: dict[str, Mapping[str, Any]] = {
    "Pendulum-v1": {"batch_size": 64},  # each row is 128 actions to value
}
