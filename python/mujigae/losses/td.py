"""Losses on action values: the TD error and two penalties on it.

The target is r + discount * Q_target(s', a*), with a* the greedy action of `selector_q`: of the target
network in Mnih et al. 2015 ("Human-level control through deep reinforcement learning"), of the online
network in van Hasselt et al. 2016 ("Deep Reinforcement Learning with Double Q-learning"). `discount` is
gamma^m over the m steps really taken and 0 after a terminal state, so that nothing here knows about n-step
returns or endings.

All arithmetic is float32, also when a network under autocast hands in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mujigae.losses.contract import RowLosses, check_arguments, of_action

__all__ = ["huber", "squared", "td_target"]


@torch.no_grad()
def td_target(target_output: Tensor, selector_q: Tensor, reward: Tensor, discount: Tensor) -> Tensor:
    """target_output [B, A], selector_q [B, A], reward [B], discount [B] -> float32 [B] without gradient."""
    bootstrap = of_action(target_output, selector_q.argmax(dim=1))
    return reward.float() + discount.float() * bootstrap.float()


def huber(
    output: Tensor,
    target_output: Tensor,
    selector_q: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
) -> RowLosses:
    """td^2 / 2 where |td| <= 1, |td| - 1/2 beyond: the error clipping of Mnih et al. 2015.

    What is clipped to [-1, 1] is the gradient; clipping the loss would leave none where the error is largest.
    Arguments as in `contract.Loss`. The priority is |target - Q(s, a)|.

    Raises ValueError for a wrong shape, TypeError for actions that are no integers.
    """
    value, target = _value_and_target(output, target_output, selector_q, action, reward, discount)
    loss = functional.huber_loss(value, target, reduction="none", delta=1.0)
    return RowLosses(loss, (target - value).detach().abs(), target)


def squared(
    output: Tensor,
    target_output: Tensor,
    selector_q: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
) -> RowLosses:
    """td^2 / 2: the half makes it equal to `huber` for small errors, with the TD error as its gradient.

    Arguments, priority and errors as in `huber`.
    """
    value, target = _value_and_target(output, target_output, selector_q, action, reward, discount)
    error = target - value
    return RowLosses(error.square() / 2, error.detach().abs(), target)


def _value_and_target(
    output: Tensor,
    target_output: Tensor,
    selector_q: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
) -> tuple[Tensor, Tensor]:
    check_arguments(output, target_output, selector_q, action, reward, discount, axes="BA")
    return of_action(output, action).float(), td_target(target_output, selector_q, reward, discount)
