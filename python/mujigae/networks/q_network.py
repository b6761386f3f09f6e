"""QNetwork joins a torso and a head; build_network makes one from plain values.

    obs [B, ...] --/255 if uint8--> torso --> features [B, F] --> head --> values [B, A] or logits [B, A, N]

Nothing here depends on the data or moves it to the CPU, so torch.compile, autocast, channels_last and CUDA
graphs can be applied from outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mujigae.errors import ConfigError
from mujigae.networks.heads import HEADS, Head
from mujigae.networks.noisy import NoisyLinear, resample_noise
from mujigae.networks.torsos import TORSOS, Torso

__all__ = ["QNetwork", "build_network", "scaled"]

T = TypeVar("T")


class QNetwork(nn.Module):
    """Action values of a batch of observations, or the distribution of returns over `support`.

    `support`: the N atoms, float32, a buffer that follows the network's device but is no part of the
    state_dict (the configuration has it); None for a network of plain action values.
    """

    support: Tensor | None

    def __init__(
        self,
        torso: Torso,
        head: Head,
        *,
        observation_shape: Sequence[int],
        num_actions: int,
        support: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.torso = torso
        self.head = head
        self.observation_shape = tuple(observation_shape)
        self.num_actions = num_actions
        self.register_buffer("support", support, persistent=False)

    def forward(self, obs: Tensor) -> Tensor:
        """Observations [B, *observation_shape] -> float32 action values [B, A] or logits [B, A, N].

        Takes what `scaled` takes, and what it gives: two networks can share it.
        """
        if obs.shape[1:] != self.observation_shape:
            raise ValueError(
                f"obs must have shape [B, *{self.observation_shape}], got {tuple(obs.shape)}"
                " (a single observation needs a leading axis)"
            )
        output: Tensor = self.head(self.torso(scaled(obs)))  # [B, A, N]
        return output.squeeze(-1) if self.support is None else output

    def q_values(self, output: Tensor) -> Tensor:
        """What `forward` returned -> action values [B, A], each distribution's mean (Bellemare 2017)."""
        if self.support is None:
            return output
        return (output.float().softmax(dim=-1) * self.support).sum(dim=-1)

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


def scaled(obs: Tensor) -> Tensor:
    """Observations as floats, on their device: uint8 divided by 255, here and nowhere else; other types as they are."""
    return obs / 255.0 if obs.dtype == torch.uint8 else obs.float()


def build_network(
    *,
    observation_shape: Sequence[int],
    observation_dtype: npt.DTypeLike,
    num_actions: int,
    torso: str = "nature",
    hidden_sizes: Sequence[int] = (256, 256),
    hidden_size: int = 512,
    dueling: bool = False,
    noisy: bool = False,
    noisy_sigma: float = 0.5,
    categorical: bool = False,
    num_atoms: int = 51,
    v_min: float = -10.0,
    v_max: float = 10.0,
) -> QNetwork:
    """Makes a QNetwork in train mode, initialised from torch's global generator.

    hidden_sizes: the layers of the mlp torso; the convolutional torsos have fixed layers and ignore it.
    hidden_size: the hidden layer of each stream of the head, 0 for none: mlp with hidden_sizes (256, 256) and
        hidden_size 0 is the usual network of two hidden layers; (256,) with 256 gives each dueling stream
        its own.
    noisy: all linear layers of the head are NoisyLinear (Hessel et al. 2018); an mlp torso stays plain.
    num_atoms, v_min, v_max: the support of a categorical network (51 atoms, +-10 for clipped rewards in
        Bellemare et al. 2017); unused otherwise.

    Raises ConfigError for an unknown torso, observations it cannot take, or sizes out of range.
    """
    _check_observation(observation_shape, observation_dtype)
    if num_actions < 1:
        raise ConfigError(f"num_actions must be at least 1, got {num_actions}")
    body = _find(TORSOS, "torso", torso)(observation_shape, hidden_sizes)
    head = HEADS["dueling" if dueling else "plain"](
        body.out_features,
        num_actions,
        num_atoms=num_atoms if categorical else 1,
        hidden_size=hidden_size,
        make_linear=partial(NoisyLinear, sigma0=noisy_sigma) if noisy else nn.Linear,
    )
    support = _make_support(num_atoms, v_min, v_max) if categorical else None
    return QNetwork(body, head, observation_shape=observation_shape, num_actions=num_actions, support=support)


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


def _make_support(num_atoms: int, v_min: float, v_max: float) -> Tensor:
    if num_atoms < 2:
        raise ConfigError(f"num_atoms must be at least 2, got {num_atoms}")
    if not (math.isfinite(v_min) and math.isfinite(v_max) and v_min < v_max):
        raise ConfigError(
            f"v_min must be less than v_max and both finite, got v_min={v_min} and v_max={v_max}"
        )
    return torch.linspace(v_min, v_max, num_atoms)  # [N]
