"""One gradient step of the DQN family as functions of tensors: no state, no `if distributional`.

Nothing here knows of devices, precision, memory order or random numbers: the caller applies autocast, NHWC
and compilation, and redraws the noise of noisy networks between the two parts, the one without gradients
first; fractions of return distributions (see `ReturnHead`) come as arguments. Shapes: B batch, A actions, N outputs of an action.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mujigae.agents.agent import Update

__all__ = ["Bootstrap", "bootstrap", "greedy_actions", "weighted_loss"]


class Bootstrap(NamedTuple):
    """What the next observation is worth, without gradients."""

    target_output: Tensor  # [B, A, N] of the target network
    selector_q: Tensor  # [B, A] the values that pick the next action


@torch.no_grad()
def greedy_actions(
    online: Any, obs: Tensor, fractions: Tensor | None = None, legal: Tensor | None = None
) -> Tensor:
    """The actions int64 [B] of the largest values at `obs`, of those that are `legal` (bool [B, A]; None: all)."""
    return _only(legal, online.q_values(online(obs, fractions))).argmax(1)


@torch.no_grad()
def bootstrap(
    online: Any,
    target: Any,
    next_obs: Tensor,
    fractions: Tensor | None = None,
    selection_fractions: Tensor | None = None,
    legal: Tensor | None = None,
    *,
    double: bool,
) -> Bootstrap:
    """The target network's output at `next_obs`, and the action values that select, -inf where not `legal` (bool [B, A]).

    Double Q-learning selects with the online network (van Hasselt et al. 2016, equation 4). What a head draws for
    selection is independent of what it draws for the target (Dabney et al. 2018b, equation 3).
    """
    next_obs = target.scaled(next_obs)  # once for both
    target_output = target(next_obs, fractions)
    if not double and selection_fractions is None:
        return Bootstrap(target_output, _only(legal, target.q_values(target_output)))
    selector = online if double else target
    selector_q = selector.q_values(selector(next_obs, selection_fractions))
    return Bootstrap(target_output, _only(legal, selector_q))


def _only(legal: Tensor | None, values: Tensor) -> Tensor:
    """`values` [B, A] with -inf for actions that are not legal."""
    return values if legal is None else values.masked_fill(~legal, -torch.inf)


def weighted_loss(
    online: Any,
    obs: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
    weight: Tensor,
    fractions: Tensor | None,
    target: Bootstrap,
) -> Update:
    """The update of one batch but for the step: `loss` among its metrics has the gradient.

    loss: [], the mean over the batch of weight_i * loss_i (Schaul et al. 2016, algorithm 1). mean_q: [], that of the values
    of the actions taken.
    """
    output = online(obs, fractions)  # [B, A, N], float32 under autocast too
    rows = online.return_head.loss(output, *target, action, reward, discount, fractions)
    taken = online.q_values(output.detach()).gather(1, action.unsqueeze(1))  # [B, 1]
    loss = (weight * rows.loss).mean()
    return Update(rows.priority.detach(), {"loss": loss, "mean_q": taken.mean()})
