"""The cross-entropy method (Rubinstein and Kroese 2004): the best of sampled actions, drawn ever closer to the best so far.

Shapes: B rows, N samples, A numbers of an action.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Maximum", "cross_entropy_maximum"]


class Maximum(NamedTuple):
    """The best action that was tried, for each row."""

    action: Tensor  # [B, A] in [-1, 1]
    value: Tensor  # [B]


@torch.no_grad()
def cross_entropy_maximum(values_of: Callable[[Tensor], Tensor], draws: Tensor, num_elites: int) -> Maximum:
    """The best of all actions that were tried (Kalashnikov et al. 2018, section 4.2).

    The first N actions of a row are uniform in [-1, 1], which alone is random shooting. Each further iteration draws N from
    a Gaussian of the mean and standard deviation of the `num_elites` best of the last one, clipped to [-1, 1].

    values_of: from actions [B, N, A] to their values [B, N]. draws: [iterations, B, N, A], the first of them uniform in
    [-1, 1], the others of a standard Gaussian.
    """
    actions, values = [draws[0]], [values_of(draws[0])]
    for noise in draws[1:]:
        index = values[-1].topk(num_elites, dim=1).indices.unsqueeze(-1)  # [B, K, 1]
        elites = actions[-1].take_along_dim(index, dim=1)  # [B, K, A]
        mean, std = elites.mean(dim=1, keepdim=True), elites.std(dim=1, keepdim=True, unbiased=False)
        actions.append((mean + std * noise).clamp(-1.0, 1.0))
        values.append(values_of(actions[-1]))
    tried, value = torch.cat(actions, dim=1), torch.cat(values, dim=1)
    best = value.argmax(dim=1, keepdim=True)  # [B, 1]
    action = tried.take_along_dim(best.unsqueeze(-1), dim=1).squeeze(1)
    return Maximum(action, value.take_along_dim(best, dim=1).squeeze(1))
