"""Linear layers whose weights carry learned noise (Fortunato et al. 2018, "Noisy Networks for Exploration").

    y = (mu_w + sigma_w * outer(f(e_out), f(e_in))) x + mu_b + sigma_b * f(e_out),    f(e) = sgn(e) sqrt|e|

The noise is factorised (section 3, option b): in + out normal numbers make the in x out noise of a layer, a
matrix of rank one. One draw serves the whole batch. It changes only when `resample_noise` is called, and
eval() silences it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mujigae.errors import ConfigError

__all__ = ["NoisyLinear", "resample_noise"]


class NoisyLinear(nn.Module):
    """A drop-in for nn.Linear, [..., in_features] -> [..., out_features], with factorised Gaussian noise.

    The means start uniform in +-1/sqrt(in_features) and every sigma at sigma0/sqrt(in_features), biases
    included (Fortunato et al. 2018, section 3.2; sigma0 = 0.5 there and in Hessel et al. 2018).

    The noise buffers are no part of the state_dict: a loaded or copied network needs a `resample_noise` of
    its own. They are written in place, so that a CUDA graph sees each new draw. Where two draws of one
    network meet in a training step, make the one whose gradient is wanted last: a compiled backward pass
    reads the buffers again, and raises RuntimeError (torch 2.13) if they were redrawn after the forward.
    """

    noise: Tensor

    def __init__(self, in_features: int, out_features: int, *, sigma0: float = 0.5) -> None:
        super().__init__()
        if not (math.isfinite(sigma0) and sigma0 >= 0):
            raise ConfigError(f"sigma0 must be a finite number >= 0, got {sigma0}")
        self.in_features = in_features
        self.out_features = out_features
        self.sigma0 = sigma0
        self.weight_mu = nn.Parameter(torch.empty(out_features, in_features))
        self.weight_sigma = nn.Parameter(torch.empty(out_features, in_features))
        self.bias_mu = nn.Parameter(torch.empty(out_features))
        self.bias_sigma = nn.Parameter(torch.empty(out_features))
        self.register_buffer("noise", torch.empty(in_features + out_features), persistent=False)
        self.reset_parameters()
        self.resample_noise()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.in_features)
        for mu in (self.weight_mu, self.bias_mu):
            nn.init.uniform_(mu, -bound, bound)
        for sigma in (self.weight_sigma, self.bias_sigma):
            nn.init.constant_(sigma, self.sigma0 * bound)

    def resample_noise(self, generator: torch.Generator | None = None) -> None:
        """Draws new noise for this layer; see the function of the same name."""
        resample_noise([self], generator)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return functional.linear(x, self.weight_mu, self.bias_mu)
        # The clone keeps the buffer out of autograd's saved tensors: it may be redrawn before backward().
        noise = self.noise.clone()
        noise_in, noise_out = noise[: self.in_features], noise[self.in_features :]
        weight = torch.addcmul(self.weight_mu, self.weight_sigma, torch.outer(noise_out, noise_in))
        return functional.linear(x, weight, torch.addcmul(self.bias_mu, self.bias_sigma, noise_out))

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, sigma0={self.sigma0}"


@torch.no_grad()
def resample_noise(layers: Sequence[NoisyLinear], generator: torch.Generator | None = None) -> None:
    """Redraws the noise of all `layers`, which live on one device, with one call to the generator.

    The numbers are drawn on the generator's device and copied over, so a CPU generator gives the same noise
    on every device, and a generator of the layers' own device saves the copy. None means torch's global
    generator there.
    """
    if not layers:
        return
    device = layers[0].noise.device if generator is None else generator.device
    sizes = [layer.noise.numel() for layer in layers]
    normal = torch.randn(sum(sizes), generator=generator, device=device)
    scaled = normal.sign() * normal.abs().sqrt()
    for layer, noise in zip(layers, torch.split(scaled, sizes), strict=True):
        layer.noise.copy_(noise)
