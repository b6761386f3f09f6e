"""Quantile regression of return distributions (Dabney et al. 2018, "Distributional Reinforcement Learning with Quantile
Regression"; 2018b, "Implicit Quantile Networks for Distributional Reinforcement Learning").

The return is a distribution given by its quantiles: output i of an action is the return below which a share tau_i of all
returns lies. The target is r + discount * theta'_j with theta' the target network's quantiles at the greedy action, which
is the argmax of the mean quantile. Nothing bounds the returns.

All arithmetic is float32, also when a network under autocast hands in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mujigae.losses.contract import RowLosses, check_arguments, of_action

__all__ = ["quantile_huber"]


def quantile_huber(
    output: Tensor,
    target_output: Tensor,
    selector_q: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
    fractions: Tensor,
) -> RowLosses:
    """sum_i mean_j |tau_i - 1{u_ij < 0}| L(u_ij), u_ij = target j - output i, L Huber's loss with kappa 1.

    Dabney et al. 2018, equations 9 and 10, algorithm 1; 2018b, equation 3. The gradient of an output that lies above a
    share tau_i of the targets vanishes on average.

    Arguments as in `contract.Loss`; output: [B, A, N], target_output: [B, A, N'] with an N' of its own. fractions: the
    tau_i of `output`, [N] or, drawn for each row, [B, N].

    The priority is the loss itself, as with the cross-entropy: rows with a spread-out return never sink to 0.

    Raises ValueError for a wrong shape, TypeError for actions that are no integers.
    """
    check_arguments(
        output, target_output, selector_q, action, reward, discount, axes="BAN", is_one_size=False
    )
    _check_fractions(fractions, output)
    with torch.no_grad():
        next_quantiles = of_action(target_output, selector_q.argmax(dim=1)).float()  # [B, N']
        target = reward.float()[:, None] + discount.float()[:, None] * next_quantiles
    quantiles = of_action(output, action).float()  # [B, N]
    error = target[:, None, :] - quantiles[:, :, None]  # [B, N, N']
    weight = (fractions.float()[..., None] - (error.detach() < 0).float()).abs()
    huber = functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=1.0)
    loss = (weight * huber).mean(dim=2).sum(dim=1)
    return RowLosses(loss, loss.detach(), target.mean(dim=1))


def _check_fractions(fractions: Tensor, output: Tensor) -> None:
    batch_size, _, num_quantiles = output.shape
    if tuple(fractions.shape) not in ((num_quantiles,), (batch_size, num_quantiles)):
        raise ValueError(
            f"fractions must have shape [{num_quantiles}] or [{batch_size}, {num_quantiles}] "
            f"to go with output {tuple(output.shape)}, got {tuple(fractions.shape)}"
        )
