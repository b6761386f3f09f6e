"""What a network's outputs say of an action's return, and the loss that teaches them to: the form of every return head.

Shapes: B batch, A actions, N outputs of an action.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from mujigae.losses import LossOutput

__all__ = ["Distribution", "MakeReturnHead", "ReturnHead"]


class Distribution(NamedTuple):
    """What an action may return, and how likely each of these returns is."""

    returns: Tensor  # float32 [B, A, N]
    probabilities: Tensor  # float32 [B, A, N], of sum 1 over N


class ReturnHead(nn.Module, ABC):
    """A module of the network, so that its buffers and parameters are moved, trained and copied with it."""

    num_outputs: int
    """N: how many numbers the network gives for each action."""

    @abstractmethod
    def values(self, output: Tensor) -> Tensor:
        """What the network gave, [B, A, N] -> the expected return of each action, float32 [B, A]."""

    @abstractmethod
    def loss(
        self,
        output: Tensor,
        target_output: Tensor,
        selector_q: Tensor,
        action: Tensor,
        reward: Tensor,
        discount: Tensor,
    ) -> LossOutput:
        """Each row's loss and priority; `output` and `target_output` are [B, A, N], the rest is that of `losses.Loss`."""

    def distribution(self, output: Tensor) -> Distribution | None:
        """The return distributions that [B, A, N] outputs stand for; None for a head that knows values alone."""
        return None


MakeReturnHead = Callable[[int], ReturnHead]
"""Makes a head for a torso of so many features."""
