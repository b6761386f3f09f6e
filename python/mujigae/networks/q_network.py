"""QNetwork joins a torso and a head; build_network makes one from plain values.

    obs [B, ...] --scaled if uint8--> torso --> features [B, F] --> head --> output [B, A, N] --> return head: values [B, A]

Nothing here depends on the data or moves it to the CPU, so torch.compile, autocast, channels_last and CUDA
graphs can be applied from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mujigae.errors import ConfigError
from mujigae.networks.heads import HEADS, Head
from mujigae.networks.impala import Impala
from mujigae.networks.noisy import NoisyLinear, resample_noise
from mujigae.networks.return_heads import MakeReturnHead, ReturnHead
from mujigae.networks.torsos import (
    PLAIN,
    DataEfficient,
    Mlp,
    Nature,
    SmallPixels,
    TinyPixels,
    Torso,
    TorsoOptions,
)

__all__ = ["TORSOS", "QNetwork", "build_network"]

TORSOS: dict[str, type[Torso]] = {
    "mlp": Mlp,
    "nature": Nature,
    "small_pixels": SmallPixels,
    "tiny_pixels": TinyPixels,
    "data_efficient": DataEfficient,
    "impala": Impala,
}

T = TypeVar("T")


class QNetwork(nn.Module):
    """N numbers for each action of a batch of observations; `return_head` says what they mean.

    pixel_bounds: the least and the largest value of uint8 observations, which become 0 and 1.
    """

    def __init__(
        self,
        torso: Torso,
        head: Head,
        return_head: ReturnHead,
        *,
        observation_shape: Sequence[int],
        num_actions: int,
        pixel_bounds: tuple[float, float] = (0.0, 255.0),
    ) -> None:
        super().__init__()
        self.torso = torso
        self.head = head
        self.return_head = return_head
        self.observation_shape = tuple(observation_shape)
        self.num_actions = num_actions
        self.pixel_bounds = pixel_bounds

    def forward(self, obs: Tensor, fractions: Tensor | None = None) -> Tensor:
        """Observations [B, *observation_shape] -> float32 [B, A, N].

        Takes what `scaled` takes, and what it gives: two networks can share it. fractions: see `ReturnHead.forward`.
        """
        if obs.shape[1:] != self.observation_shape:
            raise ValueError(
                f"obs must have shape [B, *{self.observation_shape}], got {tuple(obs.shape)}"
                " (a single observation needs a leading axis)"
            )
        output: Tensor = self.return_head(self.head, self.torso(self.scaled(obs)), fractions)
        return output

    def scaled(self, obs: Tensor) -> Tensor:
        """Observations as floats, on their device: uint8 by their bounds, here and nowhere else; other types as they are."""
        if obs.dtype != torch.uint8:
            return obs.float()
        low, high = self.pixel_bounds
        return obs / high if low == 0 else (obs - low) / (high - low)

    def q_values(self, output: Tensor) -> Tensor:
        """What `forward` returned -> action values [B, A]."""
        return self.return_head.values(output)

    def resample_noise(self, generator: torch.Generator | None = None) -> None:
        """Redraws the noise of every noisy layer (see noisy.resample_noise); without any it does nothing."""
        resample_noise(self._noisy_layers(), generator)

    def noise_scale(self) -> float | None:
        """The mean |sigma| over all weights of the noisy layers, None without any: how much is left to explore."""
        sigmas = [layer.weight_sigma.detach() for layer in self._noisy_layers()]
        if not sigmas:
            return None
        total = torch.stack([sigma.abs().sum() for sigma in sigmas]).sum()
        return float(total) / sum(sigma.numel() for sigma in sigmas)

    def _noisy_layers(self) -> list[NoisyLinear]:
        return [module for module in self.modules() if isinstance(module, NoisyLinear)]


def build_network(
    *,
    observation_shape: Sequence[int],
    observation_dtype: npt.DTypeLike,
    num_actions: int,
    pixel_bounds: tuple[float, float] = (0.0, 255.0),
    torso: str = "nature",
    hidden_sizes: Sequence[int] = (256, 256),
    torso_options: TorsoOptions = PLAIN,
    hidden_size: int = 512,
    dueling: bool = False,
    noisy: bool = False,
    noisy_sigma: float = 0.5,
    make_return_head: MakeReturnHead,
) -> QNetwork:
    """Makes a QNetwork in train mode, initialised from torch's global generator.

    pixel_bounds: the least and the largest value of uint8 observations; (0, 1) takes them as they are.
    hidden_sizes: the layers of the mlp torso; the convolutional torsos have fixed layers and ignore it.
    torso_options: normalisation, width and pooling of the torso.
    hidden_size: the hidden layer of each stream of the head, 0 for none: mlp with hidden_sizes (256, 256) and
        hidden_size 0 is the usual network of two hidden layers; (256,) with 256 gives each dueling stream
        its own.
    noisy: all linear layers of the head are NoisyLinear (Hessel et al. 2018); an mlp torso stays plain.
    make_return_head: what the outputs mean, for a torso of so many features.

    Raises ConfigError for an unknown torso, observations it cannot take, or sizes out of range.
    """
    _check_observation(observation_shape, observation_dtype)
    if num_actions < 1:
        raise ConfigError(f"num_actions must be at least 1, got {num_actions}")
    body = _find(TORSOS, "torso", torso)(observation_shape, hidden_sizes, torso_options)
    return_head = make_return_head(body.out_features)
    head = HEADS["dueling" if dueling else "plain"](
        body.out_features,
        num_actions,
        num_outputs=return_head.num_outputs,
        hidden_size=hidden_size,
        make_linear=partial(NoisyLinear, sigma0=noisy_sigma) if noisy else nn.Linear,
    )
    return QNetwork(
        body,
        head,
        return_head,
        observation_shape=observation_shape,
        num_actions=num_actions,
        pixel_bounds=pixel_bounds,
    )


def _find(registry: dict[str, T], argument: str, name: str) -> T:
    if name not in registry:
        raise ConfigError(f"{argument} must be one of {', '.join(sorted(registry))}, got {name!r}")
    return registry[name]


def _check_observation(shape: Sequence[int], dtype: npt.DTypeLike) -> None:
    if np.dtype(dtype).kind not in "biuf":
        raise ConfigError(f"observation_dtype must be a real number type, got {np.dtype(dtype)}")
    if len(shape) == 0 or min(shape) < 1:
        raise ConfigError(
            f"observation_shape must have at least one axis and no empty one, got {tuple(shape)}"
            " (encode a discrete observation as a vector first)"
        )
