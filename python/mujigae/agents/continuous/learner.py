"""Parts of a gradient step that agents with continuous actions share. Shapes: B batch, A numbers of an action."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from mujigae.agents.agent import Update
from mujigae.losses.continuous import squared_errors

__all__ = ["GradientStep", "critic_update"]


def critic_update(
    critics: Any, obs: Tensor, action: Tensor, target: Tensor, weight: Tensor
) -> tuple[Tensor, Update]:
    """What moves critics towards `target` [B]: a loss [] that has the gradient, and the update that it is part of.

    critics: from observations and actions to values [C, B]. loss: the mean over the batch of weight_i * loss_i (Schaul et al.
    2016, algorithm 1). mean_q: that of the values at the actions taken.
    """
    values = critics(obs, action)  # [C, B]
    rows = squared_errors(values, target)
    loss = (weight * rows.loss).mean()
    return loss, Update(rows.priority, {"loss": loss.detach(), "mean_q": values.detach().mean()})


class GradientStep:
    """A step of Adam on some parameters, which alone get gradients of the loss that it is called with.

    learning_rate: called for each step's size.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: Callable[[], float],
        *,
        adam_eps: float,
        max_grad_norm: float,
    ) -> None:
        self._parameters, self._max_grad_norm = list(parameters), max_grad_norm
        self._learning_rate = learning_rate
        self.adam = torch.optim.Adam(self._parameters, eps=adam_eps, fused=True)
        for parameter in self._parameters:
            self.adam.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def __call__(self, loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, self._parameters)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        if self._max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm)
        self.adam.param_groups[0]["lr"] = self._learning_rate()
        self.adam.step()
