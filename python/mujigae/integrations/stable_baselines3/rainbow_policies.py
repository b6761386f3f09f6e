"""Rainbow's networks as policies of Stable-Baselines3: dueling streams of noisy layers whose outputs are return distributions.

    features extractor (SB3's) -> layers of net_arch[:-1] -> two streams with a hidden layer of net_arch[-1] -> [B, A, N] logits

Noise (Fortunato et al. 2018) is redrawn for every prediction that is not deterministic, and silent in those that are.
Shapes: B batch, A actions, N atoms.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    CombinedExtractor,
    FlattenExtractor,
    create_mlp,
)
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import nn

from mujigae.networks import CategoricalHead, DuelingHead, Nature, NoisyLinear, resample_noise

__all__ = [
    "RainbowCnnPolicy",
    "RainbowConvolutions",
    "RainbowMultiInputPolicy",
    "RainbowNetwork",
    "RainbowPolicy",
]


class RainbowConvolutions(BaseFeaturesExtractor):
    """The three convolutions of Mnih et al. 2015; SB3's NatureCNN adds a linear layer, which is the streams' own in Rainbow."""

    def __init__(self, observation_space: spaces.Box) -> None:
        torso = Nature(observation_space.shape)
        super().__init__(observation_space, torso.out_features)
        self.torso = torso

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """Images [B, C, H, W] from 0 to 1 -> [B, features_dim]."""
        features: th.Tensor = self.torso(observations)
        return features


class RainbowNetwork(QNetwork):
    """Observations -> action values [B, A], the means of return distributions over N atoms from v_min to v_max."""

    distribution: dict[str, Any]

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Discrete,
        features_extractor: BaseFeaturesExtractor,
        features_dim: int,
        net_arch: list[int],
        activation_fn: type[nn.Module] = nn.ReLU,
        normalize_images: bool = True,
        *,
        num_atoms: int,
        v_min: float,
        v_max: float,
        noisy_sigma: float,
    ) -> None:
        # Past the parent, whose constructor makes another network.
        super(QNetwork, self).__init__(
            observation_space,
            action_space,
            features_extractor=features_extractor,
            normalize_images=normalize_images,
        )
        self.net_arch, self.activation_fn, self.features_dim = net_arch, activation_fn, features_dim
        self.distribution = {
            "num_atoms": num_atoms,
            "v_min": v_min,
            "v_max": v_max,
            "noisy_sigma": noisy_sigma,
        }
        *shared_sizes, hidden_size = net_arch or [0]
        self.shared = nn.Sequential(*create_mlp(features_dim, -1, shared_sizes, activation_fn))
        self.return_head = CategoricalHead(num_atoms, v_min, v_max)
        self.head = DuelingHead(
            shared_sizes[-1] if shared_sizes else features_dim,
            int(action_space.n),
            num_outputs=num_atoms,
            hidden_size=hidden_size,
            make_linear=partial(NoisyLinear, sigma0=noisy_sigma),
        )

    def logits(self, obs: Any) -> th.Tensor:
        """[B, A, N]: of the probabilities of the atoms."""
        output: th.Tensor = self.head(self.shared(self.extract_features(obs, self.features_extractor)))
        return output

    def forward(self, obs: Any) -> th.Tensor:
        """[B, A]."""
        return self.return_head.values(self.logits(obs))

    def redraw_noise(self) -> None:
        """Draws new noise from torch's global generator and adds it, until `silence_noise` or `set_training_mode`."""
        for layer in self._noisy_layers():
            layer.train()
        resample_noise(self._noisy_layers())

    def silence_noise(self) -> None:
        for layer in self._noisy_layers():
            layer.eval()

    def _noisy_layers(self) -> list[NoisyLinear]:
        return [module for module in self.head.modules() if isinstance(module, NoisyLinear)]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | self.distribution


class RainbowPolicy(DQNPolicy):
    """The policy "MlpPolicy" of `Rainbow`, for vectors.

    Args: as `DQNPolicy`, and
        net_arch: layers above the features extractor. The last one is the hidden layer of each stream, with ReLU and noise;
            those before it are shared and without noise. [64, 64], for images [512].
        optimizer_kwargs: None is Adam's eps 1.5e-4 (Hessel et al. 2018).
        num_atoms: atoms of the return distribution, 51 in Bellemare et al. 2017.
        v_min, v_max: the least and the largest return; one beyond counts as the nearer of them. -10 and 10 suit rewards clipped
            to [-1, 1] that are sparse; a reward of 1 at every step wants v_max = 1 / (1 - gamma).
        noisy_sigma: the initial scale of the noise; 0.5 in Fortunato et al. 2018.
    """

    q_net: RainbowNetwork
    q_net_target: RainbowNetwork
    distribution: dict[str, Any]

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Discrete,
        lr_schedule: Any,
        net_arch: list[int] | None = None,
        activation_fn: type[nn.Module] = nn.ReLU,
        features_extractor_class: type[BaseFeaturesExtractor] = FlattenExtractor,
        features_extractor_kwargs: dict[str, Any] | None = None,
        normalize_images: bool = True,
        optimizer_class: type[th.optim.Optimizer] = th.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        *,
        num_atoms: int = 51,
        v_min: float = -10.0,
        v_max: float = 10.0,
        noisy_sigma: float = 0.5,
    ) -> None:
        self.distribution = {
            "num_atoms": num_atoms,
            "v_min": v_min,
            "v_max": v_max,
            "noisy_sigma": noisy_sigma,
        }
        if net_arch is None:
            net_arch = [512] if features_extractor_class is RainbowConvolutions else [64, 64]
        if optimizer_kwargs is None:
            optimizer_kwargs = {"eps": 1.5e-4} if optimizer_class is th.optim.Adam else {}
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch,
            activation_fn,
            features_extractor_class,
            features_extractor_kwargs,
            normalize_images,
            optimizer_class,
            optimizer_kwargs,
        )

    def make_q_net(self) -> RainbowNetwork:
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return RainbowNetwork(**arguments, **self.distribution).to(self.device)

    def _predict(self, obs: Any, deterministic: bool = True) -> th.Tensor:
        if deterministic:
            self.q_net.silence_noise()
        else:
            self.q_net.redraw_noise()
        return self.q_net._predict(obs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | self.distribution


class RainbowCnnPolicy(RainbowPolicy):
    """The policy "CnnPolicy" of `Rainbow`, for images of at least 36 x 36; arguments as `RainbowPolicy`."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Discrete,
        lr_schedule: Any,
        *,
        features_extractor_class: type[BaseFeaturesExtractor] = RainbowConvolutions,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *(observation_space, action_space, lr_schedule),
            features_extractor_class=features_extractor_class,
            **kwargs,
        )


class RainbowMultiInputPolicy(RainbowPolicy):
    """The policy "MultiInputPolicy" of `Rainbow`, for Dict observations; arguments as `RainbowPolicy`."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Discrete,
        lr_schedule: Any,
        *,
        features_extractor_class: type[BaseFeaturesExtractor] = CombinedExtractor,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *(observation_space, action_space, lr_schedule),
            features_extractor_class=features_extractor_class,
            **kwargs,
        )
