"""One number for an action: its value (Mnih et al. 2015)."""

from __future__ import annotations

from torch import Tensor

from mujigae.losses import Loss, RowLosses
from mujigae.networks.return_heads.contract import ReturnHead

__all__ = ["ScalarHead"]


class ScalarHead(ReturnHead):
    """Values that `loss_fn`, a loss on action values [B, A], teaches."""

    num_outputs = 1

    def __init__(self, loss_fn: Loss) -> None:
        super().__init__()
        self._loss_fn = loss_fn

    def values(self, output: Tensor) -> Tensor:
        return output.squeeze(-1)

    def loss(
        self,
        output: Tensor,
        target_output: Tensor,
        selector_q: Tensor,
        action: Tensor,
        reward: Tensor,
        discount: Tensor,
        fractions: Tensor | None = None,
    ) -> RowLosses:
        values, target_values = self.values(output), self.values(target_output)
        return self._loss_fn(values, target_values, selector_q, action, reward, discount)
