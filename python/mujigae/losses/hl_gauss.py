"""Values learned as a histogram: HL-Gauss (Farebrother et al. 2024, "Stop Regressing"; Imani and White 2018).

The value of an action is the mean of a distribution over bins of equal width. The target is one number, as in Q-learning,
and is spread over the bins as a normal distribution around it, so that learning it is a classification with neighbours.

All arithmetic is float32, also when a network under autocast hands in bfloat16.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mujigae.losses.contract import RowLosses, check_arguments, of_action
from mujigae.losses.td import td_target

__all__ = ["hl_gauss", "spread"]


def spread(target: Tensor, edges: Tensor, sigma: float) -> Tensor:
    """The share of N(target, sigma^2) in each bin, of what lies between the outermost edges: [B] -> float32 [B, N].

    edges: [N + 1], ascending. A target beyond them counts as the outermost edge (Farebrother et al. 2024, section 3.1).
    """
    target = target.float().clamp(edges[0], edges[-1])
    below = torch.erf((edges.float() - target[:, None]) / (math.sqrt(2) * sigma))  # [B, N + 1]
    return (below[:, 1:] - below[:, :-1]) / (below[:, -1:] - below[:, :1])


def hl_gauss(
    output: Tensor,
    target_output: Tensor,
    selector_q: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
    edges: Tensor,
    sigma: float,
) -> RowLosses:
    """-sum_i m_i log p_i(s, a), with m the spread of r + discount * Q'(s', a*), and Q' the mean of the target network.

    Arguments as in `contract.Loss`, logits of bins [B, A, N], and the bins' `edges` [N + 1]. The value of a bin is its centre.
    The priority is |target - Q(s, a)|: the cross-entropy never falls below the entropy of m.

    Raises ValueError for a wrong shape, TypeError for actions that are no integers.
    """
    check_arguments(output, target_output, selector_q, action, reward, discount, axes="BAN")
    if tuple(edges.shape) != (output.shape[2] + 1,):
        raise ValueError(f"edges must have shape [{output.shape[2] + 1}], got {tuple(edges.shape)}")
    centres = (edges[1:] + edges[:-1]).float() / 2
    target_values = (target_output.float().softmax(dim=-1) * centres).sum(dim=-1)  # [B, A]
    target = td_target(target_values, selector_q, reward, discount)
    log_probabilities = of_action(output, action).float().log_softmax(dim=-1)  # [B, N]
    loss = -(spread(target, edges, sigma) * log_probabilities).sum(dim=-1)
    value = (log_probabilities.detach().exp() * centres).sum(dim=-1)
    return RowLosses(loss, (target - value).abs(), target)
