"""Normalisation: of activations over a batch, and of a layer's weights by their largest singular value."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

__all__ = ["BatchNorm", "spectrally_normalised"]


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) of [B, C, ...], by the batch's own statistics only where gradients are taken.

    A batch that an agent acts on is as small as its environments are few, and the rows of a target are to be worth the same
    in any company: both use the running statistics, which move with the batches that are learned from alone. They are
    buffers of the state_dict, so that a target network takes them along.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        learns = self.training and torch.is_grad_enabled()
        return functional.batch_norm(
            x,
            *(self.running_mean, self.running_var, self.weight, self.bias),
            training=learns,
            momentum=self.momentum,
            eps=self.eps,
        )


def spectrally_normalised(layer: nn.Module) -> nn.Module:
    """`layer`, its weights divided by an estimate of their largest singular value (Miyato et al. 2018).

    Each forward pass in train mode improves the estimate by one power iteration; eval() leaves it as it is.
    """
    normalised: nn.Module = parametrizations.spectral_norm(layer)
    return normalised
