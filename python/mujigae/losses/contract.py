"""The one form that every loss for discrete actions has, and the checks and selections they share."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["Loss", "RowLosses", "check_arguments", "of_action"]


class RowLosses(NamedTuple):
    """What a loss gives for each row of a batch, float32 [B] each; an agent makes its `Update` of it."""

    loss: Tensor  # unweighted, with gradient to `output` alone
    priority: Tensor  # unweighted too, >= 0, detached: the absolute TD error or the cross-entropy
    target: Tensor  # the value that was aimed at, of a distribution its mean; detached


class Loss(Protocol):
    """A pure function of one batch: no weights, no mean over the batch, no row that depends on another."""

    def __call__(
        self,
        output: Tensor,
        target_output: Tensor,
        selector_q: Tensor,
        action: Tensor,
        reward: Tensor,
        discount: Tensor,
    ) -> RowLosses:
        """See the arguments in td.py; a loss on distributions takes their support beside them.

        output: [B, A] action values or [B, A, N] logits of the online network at obs; has the gradient.
        target_output: as `output`, of the target network at next_obs; no gradient.
        selector_q: [B, A] action values at next_obs whose argmax is the greedy action: the online network's
            for double Q-learning (van Hasselt et al. 2016), the target network's otherwise; no gradient.
        action: [B] integers, the actions taken.
        reward, discount: [B], the n-step reward, and gamma^m or 0 after a terminal state.
        """
        ...


def check_arguments(
    output: Tensor,
    target_output: Tensor,
    selector_q: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
    *,
    axes: str,
    is_one_size: bool = True,
) -> None:
    """Raises ValueError or TypeError with the name.

    axes: what `output` must have, "BA" or "BAN". is_one_size: whether `target_output` must have the same N.
    """
    if output.dim() != len(axes):
        raise ValueError(f"output must have shape [{', '.join(axes)}], got {tuple(output.shape)}")
    batch_size, num_actions = output.shape[:2]
    num_targets = output.shape[2:] if is_one_size else target_output.shape[-1:]
    expected = {
        "target_output": (target_output, (batch_size, num_actions, *num_targets)),
        "selector_q": (selector_q, (batch_size, num_actions)),
        "action": (action, (batch_size,)),
        "reward": (reward, (batch_size,)),
        "discount": (discount, (batch_size,)),
    }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name} must have shape {shape} to go with output {tuple(output.shape)}, "
                f"got {tuple(tensor.shape)}"
            )
    if action.is_floating_point() or action.dtype == torch.bool:
        raise TypeError(f"action must be integers, got {action.dtype}")


def of_action(values: Tensor, action: Tensor) -> Tensor:
    """values [B, A] or [B, A, N], action [B] -> the row's value [B], or its atoms [B, N]."""
    index = action.long().reshape(-1, *[1] * (values.dim() - 1))
    return torch.take_along_dim(values, index, dim=1).squeeze(1)
