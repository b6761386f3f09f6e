"""Optimizers by name, each with the state that it keeps of a parameter.

A CUDA graph records a learning rate that is a number; where updates are recorded it is a tensor, and changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from mujigae.agents.dqn.config import DQNConfig

__all__ = [
    "OPTIMIZERS",
    "CentredRMSProp",
    "make_optimizer",
    "set_learning_rate",
    "state_of",
]


class CentredRMSProp(torch.optim.Optimizer):
    """Steps of lr * g / sqrt(n - m^2 + eps), with m and n running means of the gradient g and of its square.

    That of Mnih et al. 2015 as its code has it: eps stands below the root, and `decay` is 0.95 for both means, which
    begin at 0. (torch.optim.RMSprop adds eps to the root.) The paper's eps of 0.01 is for gradients summed over 32 rows;
    for their mean it is 0.01 / 32^2.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float | Tensor, decay: float = 0.95, eps: float = 0.01 / 32**2
    ):
        super().__init__(params, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step for every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            states = [state_of(self, parameter) for parameter in parameters]
            gradients = [parameter.grad for parameter in parameters]
            means, squares = ([state[name] for state in states] for name in ("grad_avg", "square_avg"))
            torch._foreach_lerp_(means, gradients, 1 - group["decay"])
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
            scales = torch._foreach_addcmul(squares, means, means, -1)
            torch._foreach_clamp_min_(scales, 0)  # rounding may take a variance below it
            torch._foreach_add_(scales, group["eps"])
            torch._foreach_sqrt_(scales)
            steps = torch._foreach_div(gradients, scales)
            torch._foreach_mul_(steps, group["lr"])
            torch._foreach_sub_(parameters, steps)


def _adam(config: DQNConfig, parameters: list[Any], rate: Any, is_recorded: bool) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=rate, eps=config.adam_eps, fused=True, capturable=is_recorded)


def _rmsprop(config: DQNConfig, parameters: list[Any], rate: Any, is_recorded: bool) -> torch.optim.Optimizer:
    return CentredRMSProp(parameters, rate, config.rmsprop_decay, config.rmsprop_eps)


def _adam_state(parameter: Tensor) -> dict[str, Tensor]:
    return {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


def _rmsprop_state(parameter: Tensor) -> dict[str, Tensor]:
    return {"grad_avg": torch.zeros_like(parameter), "square_avg": torch.zeros_like(parameter)}


OPTIMIZERS: dict[str, Callable[[DQNConfig, list[Any], Any, bool], torch.optim.Optimizer]] = {
    "adam": _adam,
    "rmsprop": _rmsprop,
}
"""By name: the configuration, parameters, learning rate, whether steps will be recorded -> the optimizer."""
_FIRST_STATES: dict[type, Callable[[Tensor], dict[str, Tensor]]] = {
    torch.optim.Adam: _adam_state,
    CentredRMSProp: _rmsprop_state,
}


def make_optimizer(
    config: DQNConfig, parameters: list[Any], device: torch.device, *, is_recorded: bool
) -> torch.optim.Optimizer:
    """The configured optimizer; is_recorded: its steps will be part of a CUDA graph."""
    rate: Any = config.learning_rate
    rate = torch.tensor(rate, dtype=torch.float32, device=device) if is_recorded else rate
    return OPTIMIZERS[config.optimizer](config, parameters, rate, is_recorded)


def state_of(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """The optimizer's state of one parameter; made as it makes it where no step has been taken yet."""
    state: dict[str, Tensor] = optimizer.state[parameter]
    if not state:
        state |= _FIRST_STATES[type(optimizer)](parameter)
    return state


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """For the steps to come, recorded ones too."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
