"""One gradient step of the DQN family as functions of tensors: no state, no `if distributional`.

Nothing here knows of devices, precision or memory order: the caller applies autocast, NHWC and compilation.
The part without gradients comes first and on its own, since it redraws the noise of networks that the
second part then reads. Shapes: B batch, A actions, N atoms.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Bootstrap", "WeightedLoss", "bootstrap", "step_target", "weighted_loss"]


class Bootstrap(NamedTuple):
    """What the next observation is worth, without gradients."""

    target_output: Tensor  # [B, A] values or [B, A, N] logits of the target network
    selector_q: Tensor  # [B, A] the values that pick the next action


class WeightedLoss(NamedTuple):
    """What one batch teaches."""

    loss: Tensor  # [] mean of weight * loss, to be differentiated
    td: Tensor  # [B] unweighted priorities: absolute TD error, or cross-entropy
    mean_q: Tensor  # [] mean value of the actions taken


@torch.no_grad()
def bootstrap(
    online: Any, target: Any, next_obs: Tensor, *, double: bool, generator: torch.Generator
) -> Bootstrap:
    """The target network's output at `next_obs`, and the action values that select.

    Double Q-learning selects with the online network (van Hasselt et al. 2016, equation 4); both networks
    draw noise of their own (Fortunato et al. 2018, section 3; Hessel et al. 2018).
    """
    target.resample_noise(generator)
    target_output = target(next_obs)
    if not double:
        return Bootstrap(target_output, target.q_values(target_output))
    online.resample_noise(generator)
    return Bootstrap(target_output, online.q_values(online(next_obs)))


def weighted_loss(
    online: Any,
    loss_fn: Any,
    obs: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
    weight: Tensor,
    ahead: Bootstrap,
) -> WeightedLoss:
    """The mean over the batch of weight_i * loss_i (Schaul et al. 2016, algorithm 1)."""
    output = online(obs)  # [B, A(, N)], float32 under autocast too
    losses = loss_fn(output, ahead.target_output, ahead.selector_q, action, reward, discount, online.support)
    taken = online.q_values(output.detach()).gather(1, action.unsqueeze(1))  # [B, 1]
    return WeightedLoss((weight * losses.loss).mean(), losses.td.detach(), taken.mean())


@torch.no_grad()
def step_target(online: torch.nn.Module, target: torch.nn.Module, tau: float) -> None:
    """target = tau * online + (1 - tau) * target, buffers included; tau 1 is an exact copy."""
    for ours, theirs in zip(target.state_dict().values(), online.state_dict().values(), strict=True):
        if tau < 1 and ours.is_floating_point():
            ours.lerp_(theirs, tau)
        else:
            ours.copy_(theirs)
