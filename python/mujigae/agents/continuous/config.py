"""Options that agents with continuous actions share. Importing this needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from mujigae.agents.learning_rate import LearningRateConfig
from mujigae.config.checks import Bound, Count, NotNegativeNumber, Positive, Share
from mujigae.config.run import Needs, Run, refuse_unless

__all__ = ["ContinuousConfig", "NoiseConfig"]


@dataclass(frozen=True)
class ContinuousConfig(LearningRateConfig):
    """Raises ConfigError that names the field, what was expected and what came."""

    hidden_sizes: tuple[Count, ...] = (256, 256)
    """Units of each hidden layer of every network (SAC: 256 256; DDPG and TD3: 400 300)."""
    learning_rate: Positive = 3e-4
    """Adam's step size for every network (SAC and TD3: 3e-4; DDPG: 1e-4 and 1e-3)."""
    adam_eps: Positive = 1e-8
    """Adam's epsilon (1e-8 in all of these papers)."""
    max_grad_norm: NotNegativeNumber = 0.0
    """Global gradient norm above which a network's gradient is scaled down; 0 never scales."""
    tau: Annotated[float, Bound("more than 0, at most 1", lambda value: 0 < value <= 1)] = 0.005
    """Share of the learning network in each step of its target, Polyak averaging (SAC and TD3: 0.005; DDPG: 0.001)."""

    def check(self, run: Run) -> None:
        """Raises ConfigError where this part does not fit the rest of `run`."""
        is_off = not run.hardware.cuda_graphs
        refuse_unless(is_off, "cuda_graphs", "false for continuous actions", run.hardware.cuda_graphs)


@dataclass(frozen=True)
class NoiseConfig(ContinuousConfig):
    """The same of agents that explore by noise on their best action."""

    action_noise: Literal["gaussian", "ornstein_uhlenbeck"] = "gaussian"
    """Noise of its own in every step (TD3), or noise that persists (DDPG)."""
    action_noise_scale: NotNegativeNumber = 0.1
    """Standard deviation of what a step adds, where actions reach from -1 to 1 (TD3: 0.1; DDPG: 0.2)."""
    action_noise_theta: Share = 0.15
    """Share of the ornstein_uhlenbeck noise that each step takes away (DDPG: 0.15)."""

    def needs(self) -> tuple[Needs, ...]:
        persists = self.action_noise == "ornstein_uhlenbeck"
        return (
            *super().needs(),
            Needs("--action-noise ornstein_uhlenbeck", persists, ("action_noise_theta",)),
        )
