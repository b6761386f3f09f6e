"""One update of SAC as functions of tensors: the caller applies autocast and compilation, draws the noise and steps.

Shapes: B batch, A numbers of an action.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mujigae.losses.continuous import (
    bootstrap_target,
    clipped_double_q,
    soft_policy_loss,
    soft_value,
    temperature_loss,
)
from mujigae.networks.actors import squashed

__all__ = ["actor_loss", "soft_target"]


@torch.no_grad()
def soft_target(
    actor: Any,
    target_critics: Any,
    log_temperature: Tensor,
    next_obs: Tensor,
    noise: Tensor,
    reward: Tensor,
    discount: Tensor,
) -> Tensor:
    """What the critics learn, [B]: the soft value of an action drawn at the next observation (2018b, equations 2 and 3)."""
    mean, log_std = actor(next_obs)
    action, log_prob = squashed(mean, log_std, noise)
    value = clipped_double_q(target_critics(next_obs, action))
    return bootstrap_target(soft_value(value, log_prob, log_temperature.exp()), reward, discount)


def actor_loss(
    actor: Any, critics: Any, log_temperature: Tensor, obs: Tensor, noise: Tensor, target_entropy: float
) -> tuple[Tensor, Tensor]:
    """The losses of actor and temperature in one sum [], and the entropy [], at actions drawn anew.

    Neither loss has a gradient to what the other is for.
    """
    temperature = log_temperature.exp()
    mean, log_std = actor(obs)
    action, log_prob = squashed(mean, log_std, noise)
    value = clipped_double_q(critics(obs, action))
    loss = soft_policy_loss(value, log_prob, temperature.detach())
    return loss + temperature_loss(temperature, log_prob, target_entropy), -log_prob.detach().mean()
