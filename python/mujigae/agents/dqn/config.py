"""The DQN family's own part of a run's configuration; its parts (double, dueling, noisy ...) are switches.

The sources are Mnih et al. 2015 (DQN), van Hasselt et al. 2016 (double), Wang et al. 2016 (dueling), Bellemare et al.
2017 (C51), Dabney et al. 2018 (QR-DQN) and 2018b (IQN), Fortunato et al. 2018 (NoisyNet) and Hessel et al. 2018 (Rainbow). Importing this needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from mujigae.config.checks import Bound, Count, NotNegative, NotNegativeNumber, Positive, Share
from mujigae.config.run import AgentConfig, Run, refuse_unless
from mujigae.errors import ConfigError

__all__ = ["DQNConfig"]


@dataclass(frozen=True)
class DQNConfig(AgentConfig):
    """Raises ConfigError that names the field, what was expected and what came."""

    double: bool = False
    """The online network picks the next action, the target network values it (van Hasselt et al. 2016)."""
    dueling: bool = False
    """Separate streams for the state's value and the actions' advantages (Wang et al. 2016)."""
    noisy: bool = False
    """Explore by learned noise in the linear layers, with epsilon 0 (Fortunato et al. 2018)."""
    noisy_epsilon: bool = False
    """Explore by epsilon beside the noise of noisy layers."""
    loss: Literal["huber", "squared", "cross_entropy", "quantile", "implicit_quantile"] = "huber"
    """huber or squared on the TD error (DQN); for return distributions cross_entropy (C51), quantile (QR-DQN) or implicit_quantile (IQN)."""

    torso: Literal["mlp", "nature", "small_pixels", "tiny_pixels"] = "mlp"
    """Layers below the heads: mlp for vectors, nature for 84x84 (DQN), small_ and tiny_pixels for less."""
    hidden_sizes: tuple[Count, ...] = (256,)
    """Units of each layer of the mlp torso."""
    head_size: NotNegative = 256
    """Hidden units of each head (DQN: 512); 0 puts the output layer straight on the torso."""
    noisy_sigma: NotNegativeNumber = 0.5
    """Initial scale of the noise, sigma_0 (Fortunato et al. 2018: 0.5)."""
    num_atoms: Annotated[int, Bound("at least 2", lambda value: value >= 2)] = 51
    """Atoms of the return distribution (C51: 51)."""
    v_min: float = -10.0
    """Smallest return of the support (C51: -10, for rewards clipped to [-1, 1])."""
    v_max: float = 10.0
    """Largest return of the support (C51: 10, for rewards clipped to [-1, 1])."""
    num_quantiles: Count = 200
    """Quantiles of the return distribution, at fixed fractions (QR-DQN: 200)."""
    num_fractions: Count = 64
    """Fractions drawn for each row that learns, implicit quantiles (IQN: 64)."""
    num_target_fractions: Count = 64
    """Fractions drawn for each row of the target, implicit quantiles (IQN: 64)."""
    num_action_fractions: Count = 32
    """Fractions whose mean return is the value of an action, implicit quantiles (IQN: 32)."""

    learning_rate: Positive = 1e-3
    """Adam's step size (Rainbow: 6.25e-5)."""
    adam_eps: Positive = 1.5e-4
    """Adam's epsilon (Rainbow: 1.5e-4, far above the usual 1e-8)."""
    max_grad_norm: NotNegativeNumber = 10.0
    """Global gradient norm above which the gradient is scaled down (Wang et al. 2016: 10); 0 never scales."""
    target_update_period_updates: Count = 250
    """Updates between steps of the target network (DQN: 10,000; Rainbow: 2,000)."""
    tau: Annotated[float, Bound("more than 0, at most 1", lambda value: 0 < value <= 1)] = 1.0
    """Share of the online network in a step of the target: 1 copies it (DQN), below 1 is Polyak averaging."""

    epsilon_schedule: Literal["linear", "exponential"] = "linear"
    """How epsilon falls from epsilon_start to epsilon_end (DQN: linear)."""
    epsilon_start: Share = 1.0
    """Share of random actions at the first update, all before are random (DQN: 1); noisy networks use 0."""
    epsilon_end: Share = 0.05
    """Last share of random actions (DQN: 0.1; Rainbow's DQN: 0.01)."""
    epsilon_steps: NotNegative = 10_000
    """Steps from the first update until epsilon_end (DQN: 1,000,000; Hessel et al. 2018: 62,500)."""
    eval_epsilon: Share = 0.0
    """Share of random actions in evaluation (Rainbow on Atari: 0.001, against deterministic loops)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_unless(self.v_max > self.v_min, "v_max", f"more than v_min ({self.v_min:g})", self.v_max)
        if self.epsilon_schedule == "exponential":
            for name in ("epsilon_start", "epsilon_end"):
                value = getattr(self, name)
                refuse_unless(value > 0, name, "more than 0 for an exponential schedule", value)

    @property
    def categorical(self) -> bool:
        """Whether the network outputs return distributions (C51); the loss decides it."""
        return self.loss == "cross_entropy"

    @property
    def is_small(self) -> bool:
        return self.torso == "mlp"

    def check(self, run: Run) -> None:
        """A return beyond the support counts as its edge without a word (C51's 10 suits clipped, sparse rewards): refused
        where it is known that there are such returns."""
        gamma = run.replay.gamma
        if not self.categorical or gamma == 1:
            return
        lowest, highest = (None if r is None else r / (1 - gamma) for r in _reward_bounds(run))
        because = f"the reward that every step may bring, gamma {gamma:g}"
        slack = 1e-9 * (self.v_max - self.v_min)
        if highest is not None and self.v_max < highest - slack:
            raise ConfigError(f"v_max: expected at least {highest:g} ({because}), got {self.v_max:g}")
        if lowest is not None and self.v_min > lowest + slack:
            raise ConfigError(f"v_min: expected at most {lowest:g} ({because}), got {self.v_min:g}")

    def protocol(self) -> str:
        return f"evaluation epsilon {self.eval_epsilon:g}"

    def notes(self, run: Run) -> tuple[str, ...]:
        """The bounds of return distributions, where nothing is known of the rewards that they have to hold."""
        is_known = run.env.clip_rewards or None not in _reward_bounds(run)
        if not self.categorical or is_known:
            return ()
        bounds = f"[{self.v_min:g}, {self.v_max:g}]"
        return (f"support: returns beyond {bounds} count as its edge; --v-min and --v-max move it",)


def _reward_bounds(run: Run) -> tuple[float | None, float | None]:
    """The smallest and the largest reward that the learner may get in every step, each None where it is not known."""
    lowest, highest = run.env.min_reward_per_step, run.env.max_reward_per_step
    if not run.env.clip_rewards:
        return lowest, highest
    return None if lowest is None else max(lowest, -1.0), None if highest is None else min(highest, 1.0)
