"""Targets and losses of agents with continuous actions: DDPG, TD3, SAC, NAF, CEM.

Sources: Lillicrap et al. 2016 ("Continuous control with deep reinforcement learning", DDPG), Fujimoto et al. 2018
("Addressing Function Approximation Error in Actor-Critic Methods", TD3), Haarnoja et al. 2018 ("Soft Actor-Critic:
Off-Policy Maximum Entropy Deep Reinforcement Learning with a Stochastic Actor") and 2018b ("Soft Actor-Critic Algorithms
and Applications").

Shapes: B batch, A numbers of an action, C critics. `reward` is the n-step reward, `discount` gamma^m over the m steps
really taken and 0 after a terminal state: nothing here knows about n-step returns or endings, and a time limit
bootstraps. Actions lie in [-1, 1]. All arithmetic is float32, also when a network under autocast hands in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mujigae.losses.contract import RowLosses

__all__ = [
    *("bootstrap_target", "clipped_double_q", "policy_loss", "smoothed", "soft_policy_loss"),
    *("soft_value", "squared_errors", "temperature_loss"),
]


@torch.no_grad()
def bootstrap_target(next_value: Tensor, reward: Tensor, discount: Tensor) -> Tensor:
    """r + discount * V(s') [B], without gradient. next_value, reward, discount: [B]; ValueError for other shapes."""
    _check_rows(next_value, reward=reward, discount=discount)
    return reward.float() + discount.float() * next_value.float()


def clipped_double_q(values: Tensor) -> Tensor:
    """The least of C critics' values [C, B] -> float32 [B] (Fujimoto et al. 2018, equation 10); one critic's own."""
    if values.dim() != 2:
        raise ValueError(f"values must have shape [C, B], got {tuple(values.shape)}")
    return values.float().amin(dim=0)


def smoothed(action: Tensor, noise: Tensor, clip: float) -> Tensor:
    """The action with noise of at most `clip` in each number, within [-1, 1] (Fujimoto et al. 2018, equation 14).

    action, noise: [B, A]. What is learned at one action then holds around it.
    """
    return (action + noise.clamp(-clip, clip)).clamp(-1.0, 1.0)


def squared_errors(values: Tensor, target: Tensor) -> RowLosses:
    """sum over the critics of (y - Q_c(s, a))^2 / 2 (Lillicrap et al. 2016, equation 4; Fujimoto et al. 2018, algorithm 1).

    values: [C, B], has the gradient. target: [B]. The priority is the mean over the critics of |y - Q_c(s, a)|.

    Raises ValueError for other shapes.
    """
    if values.dim() != 2:
        raise ValueError(f"values must have shape [C, B], got {tuple(values.shape)}")
    _check_rows(values[0], target=target)
    error = target.detach().float() - values.float()  # [C, B]
    loss, priority = error.square().sum(dim=0) / 2, error.detach().abs().mean(dim=0)
    return RowLosses(loss, priority, target.detach().float())


def policy_loss(value: Tensor) -> Tensor:
    """-mean Q(s, mu(s)), [] (Silver et al. 2014, equation 9; Lillicrap et al. 2016, equation 6). value: [B] at the actor's actions."""
    return -value.float().mean()


def soft_value(value: Tensor, log_prob: Tensor, temperature: Tensor) -> Tensor:
    """Q(s, a) - alpha log pi(a | s), float32 [B] (Haarnoja et al. 2018b, equation 3). value, log_prob: [B], temperature: []."""
    _check_rows(value, log_prob=log_prob)
    return value.float() - temperature * log_prob.float()


def soft_policy_loss(value: Tensor, log_prob: Tensor, temperature: Tensor) -> Tensor:
    """mean of alpha log pi(a | s) - Q(s, a), [] (Haarnoja et al. 2018b, equation 9): the soft value, to be raised.

    value, log_prob: [B] at actions that the actor drew, with gradients to it. temperature: [], without gradient.
    """
    return -soft_value(value, log_prob, temperature).mean()


def temperature_loss(temperature: Tensor, log_prob: Tensor, target_entropy: float) -> Tensor:
    """mean of -alpha (log pi(a | s) + H), [] (Haarnoja et al. 2018b, equation 18).

    temperature: [], has the gradient, which lowers it while the entropy -log pi is above H. log_prob: [B].
    """
    return -(temperature * (log_prob.detach().float() + target_entropy)).mean()


def _check_rows(like: Tensor, **tensors: Tensor) -> None:
    """Raises ValueError for the first that has not the shape [B] of `like`."""
    if like.dim() != 1:
        raise ValueError(f"values must have shape [B], got {tuple(like.shape)}")
    for name, tensor in tensors.items():
        if tensor.shape != like.shape:
            raise ValueError(
                f"{name} must have the shape of the values {tuple(like.shape)}, got {tuple(tensor.shape)}"
            )
