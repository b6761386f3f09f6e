"""Target networks: a second network of the same form that follows the one that learns (Mnih et al. 2015, Lillicrap et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["persistent_state", "step_target"]


def persistent_state(network: torch.nn.Module) -> list[Tensor]:
    """Parameters and persistent buffers, sharing memory with the network; its noise is not among them."""
    return list(network.state_dict().values())


@torch.no_grad()
def step_target(online: Sequence[Tensor], target: Sequence[Tensor], tau: float) -> None:
    """target = tau * online + (1 - tau) * target, buffers included; tau 1 is an exact copy."""
    for ours, theirs in zip(target, online, strict=True):
        if tau < 1 and ours.is_floating_point():
            ours.lerp_(theirs, tau)
        else:
            ours.copy_(theirs)
