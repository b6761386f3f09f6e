"""What the agents with several critics share: their weighted loss and the priority of a row."""

from __future__ import annotations

from collections.abc import Sequence

import torch as th

__all__ = ["critic_loss", "mean_absolute_error"]


def critic_loss(values: Sequence[th.Tensor], target: th.Tensor, weights: th.Tensor) -> th.Tensor:
    """The sum over the critics of the weighted mean squared error; all are [B, 1], `values` one of each critic."""
    losses = [(weights * (value - target).square()).mean() for value in values]
    return th.stack(losses).sum()


def mean_absolute_error(values: Sequence[th.Tensor], target: th.Tensor) -> th.Tensor:
    """|TD error| of each row, [B], the mean over the critics, detached."""
    return (th.cat(list(values), dim=1).detach() - target).abs().mean(dim=1)
