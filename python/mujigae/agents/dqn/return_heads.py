"""Which return head a configuration asks for: its loss decides."""

from __future__ import annotations

from collections.abc import Callable

from mujigae.agents.dqn.config import DQNConfig
from mujigae.losses import huber, squared
from mujigae.networks import (
    CategoricalHead,
    HLGaussHead,
    ImplicitQuantileHead,
    QuantileHead,
    ReturnHead,
    ScalarHead,
)

__all__ = ["RETURN_HEADS"]

RETURN_HEADS: dict[str, Callable[[DQNConfig, int], ReturnHead]] = {
    "huber": lambda config, num_features: ScalarHead(huber),
    "squared": lambda config, num_features: ScalarHead(squared),
    "cross_entropy": lambda config, num_features: CategoricalHead(
        config.num_atoms, config.v_min, config.v_max
    ),
    "hl_gauss": lambda config, num_features: HLGaussHead(
        config.num_atoms, config.v_min, config.v_max, config.smoothing
    ),
    "quantile": lambda config, num_features: QuantileHead(config.num_quantiles),
    "implicit_quantile": lambda config, num_features: ImplicitQuantileHead(
        num_features, config.num_fractions, config.num_target_fractions, config.num_action_fractions
    ),
}
"""By the name of the loss: the configuration and the torso's number of features -> the head."""
