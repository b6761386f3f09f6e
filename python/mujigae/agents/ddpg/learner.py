"""One update of DDPG and TD3 as functions of tensors: the caller applies autocast and compilation, draws the noise and steps.

Shapes: B batch, A numbers of an action.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mujigae.losses.continuous import bootstrap_target, clipped_double_q, policy_loss, smoothed

__all__ = ["actor_loss", "deterministic_target"]


@torch.no_grad()
def deterministic_target(
    target_actor: Any,
    target_critics: Any,
    next_obs: Tensor,
    noise: Tensor | None,
    noise_clip: float,
    reward: Tensor,
    discount: Tensor,
) -> Tensor:
    """What the critics learn, [B]: the least target critic's value of the target actor's action, with `noise` [B, A] on it."""
    action = target_actor(next_obs)
    if noise is not None:
        action = smoothed(action, noise, noise_clip)
    return bootstrap_target(clipped_double_q(target_critics(next_obs, action)), reward, discount)


def actor_loss(actor: Any, critics: Any, obs: Tensor) -> Tensor:
    """Minus the first critic's mean value of the actor's actions, []."""
    return policy_loss(critics.first(obs, actor(obs)))
