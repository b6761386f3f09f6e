"""One gradient step of the DQN family as functions of tensors: no state, no `if distributional`.

Nothing here knows of devices, precision, memory order or random numbers: the caller applies autocast, NHWC
and compilation, and redraws the noise of noisy networks between the two parts, the one without gradients
first; fractions of return distributions (see `ReturnHead`) come as arguments. Shapes: B batch, A actions, N outputs of an action.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["METRICS", "Bootstrap", "Learned", "greedy_actions", "only", "weighted_loss"]

METRICS = ("loss", "mean_q", "mean_target", "action_gap")


class Bootstrap(NamedTuple):
    """What the next observation is worth, without gradients: the target is reward + discount * the selected output."""

    target_output: Tensor  # [B, A, N] of the target network
    selector_q: Tensor  # [B, A] the values that pick the next action
    reward: Tensor  # [B], the batch's, or what a target makes of it


class Learned(NamedTuple):
    """What a gradient step gives."""

    priorities: Tensor  # [B], detached
    metrics: Tensor  # [4], METRICS in one tensor; from `weighted_loss` the first one has the gradient


@torch.no_grad()
def greedy_actions(
    online: Any, obs: Tensor, fractions: Tensor | None = None, legal: Tensor | None = None
) -> Tensor:
    """The actions int64 [B] of the largest values at `obs`, of those that are `legal` (bool [B, A]; None: all)."""
    return only(legal, online.q_values(online(obs, fractions))).argmax(1)


def only(legal: Tensor | None, values: Tensor) -> Tensor:
    """`values` [B, A] with -inf for actions that are not legal."""
    return values if legal is None else values.masked_fill(~legal, -torch.inf)


def weighted_loss(
    online: Any,
    obs: Tensor,
    action: Tensor,
    discount: Tensor,
    weight: Tensor,
    fractions: Tensor | None,
    target: Bootstrap,
) -> Learned:
    """The update of one batch but for the step: the loss, the first of its metrics, has the gradient.

    loss: the mean over the batch of weight_i * loss_i (Schaul et al. 2016, algorithm 1). mean_q: that of the values of the
    actions taken; mean_target: that of what they should be. action_gap: how far the best action's value lies above the
    second best (Bellemare et al. 2016, "Increasing the Action Gap"), 0 for a single action.
    """
    output = online(obs, fractions)  # [B, A, N], float32 under autocast too
    next_output, selector_q, reward = target
    rows = online.return_head.loss(output, next_output, selector_q, action, reward, discount, fractions)
    values = online.q_values(output.detach())  # [B, A]
    best = values.topk(min(2, values.shape[1]), dim=1).values
    gap = (best[:, 0] - best[:, -1]).mean()
    taken = values.gather(1, action.unsqueeze(1)).mean()
    loss = (weight * rows.loss).mean()
    return Learned(rows.priority.detach(), torch.stack([loss, taken, rows.target.mean(), gap]))
