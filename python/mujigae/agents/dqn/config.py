"""The DQN family's own part of a run's configuration; its parts (double, dueling, noisy ...) are switches.

The sources are Mnih et al. 2015 (DQN), van Hasselt et al. 2016 (double), Wang et al. 2016 (dueling), Bellemare et al.
2017 (C51), Dabney et al. 2018 (QR-DQN) and 2018b (IQN), Fortunato et al. 2018 (NoisyNet) and Hessel et al. 2018 (Rainbow). Importing this needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from mujigae.agents.learning_rate import LearningRateConfig
from mujigae.config.checks import (
    Bound,
    Count,
    NotNegative,
    NotNegativeNumber,
    NotPositiveNumber,
    Positive,
    Share,
)
from mujigae.config.run import Needs, Run, refuse_unless
from mujigae.errors import ConfigError

__all__ = ["DQNConfig"]


@dataclass(frozen=True)
class DQNConfig(LearningRateConfig):
    """Raises ConfigError that names the field, what was expected and what came."""

    double: bool = False
    """The online network picks the next action, the target network values it (van Hasselt et al. 2016)."""
    dueling: bool = False
    """Separate streams for the state's value and the actions' advantages (Wang et al. 2016)."""
    noisy: bool = False
    """Explore by learned noise in the linear layers, with epsilon 0 (Fortunato et al. 2018)."""
    noisy_epsilon: bool = False
    """Explore by epsilon beside the noise of noisy layers."""
    target: Literal["greedy", "munchausen"] = "greedy"
    """greedy: the best next action's value (DQN); munchausen: a soft policy's, and a bonus for actions it is sure of."""
    loss: Literal["huber", "squared", "cross_entropy", "hl_gauss", "quantile", "implicit_quantile"] = "huber"
    """huber or squared on the TD error (DQN); hl_gauss: values as histograms; for return distributions cross_entropy (C51), quantile (QR-DQN) or implicit_quantile (IQN)."""

    torso: Literal["mlp", "nature", "small_pixels", "tiny_pixels", "data_efficient", "impala"] = "mlp"
    """Layers below the heads: mlp for vectors; for 84x84 nature (DQN), data_efficient or impala; small_ and tiny_pixels for less."""
    hidden_sizes: tuple[Count, ...] = (256,)
    """Units of each layer of the mlp torso."""
    batch_norm: bool = False
    """Batch normalisation after each ReLU of the torso; acting and targets use its running statistics."""
    spectral_norm: bool = False
    """Divide the torso's weights by their largest singular value (BTR: impala's residual blocks)."""
    torso_width: Count = 1
    """Factor on the channels of convolutions (BTR: 2)."""
    pool_size: NotNegative = 0
    """Side of an adaptive max-pool after the last convolution (BTR: 6); 0: none."""
    head_size: NotNegative = 256
    """Hidden units of each head (DQN: 512); 0 puts the output layer straight on the torso."""
    noisy_sigma: NotNegativeNumber = 0.5
    """Initial scale of the noise, sigma_0 (Fortunato et al. 2018: 0.5)."""
    num_atoms: Annotated[int, Bound("at least 2", lambda value: value >= 2)] = 51
    """Atoms of the return distribution (C51: 51), or bins of hl_gauss."""
    v_min: float = -10.0
    """Smallest return of the support (C51: -10, for rewards clipped to [-1, 1])."""
    v_max: float = 10.0
    """Largest return of the support (C51: 10, for rewards clipped to [-1, 1])."""
    smoothing: Positive = 0.75
    """Standard deviation of a target of hl_gauss, in widths of a bin (Farebrother et al. 2024: 0.75)."""
    num_quantiles: Count = 200
    """Quantiles of the return distribution, at fixed fractions (QR-DQN: 200)."""
    num_fractions: Count = 64
    """Fractions drawn for each row that learns, implicit quantiles (IQN: 64)."""
    num_target_fractions: Count = 64
    """Fractions drawn for each row of the target, implicit quantiles (IQN: 64)."""
    num_action_fractions: Count = 32
    """Fractions whose mean return is the value of an action, implicit quantiles (IQN: 32)."""

    munchausen_alpha: Share = 0.9
    """Share of the log-policy that a munchausen target adds to the reward (Vieillard et al. 2020: 0.9)."""
    temperature: Positive = 0.03
    """Temperature of a munchausen target's soft policy, in units of the value (Vieillard et al. 2020: 0.03)."""
    log_policy_min: NotPositiveNumber = -1.0
    """Least log-policy, times the temperature, of a munchausen target (Vieillard et al. 2020: -1)."""

    optimizer: Literal["adam", "rmsprop"] = "adam"
    """adam (Rainbow), or rmsprop: the centred one of DQN, its epsilon below the root."""
    learning_rate: Positive = 1e-3
    """Step size of the optimizer (DQN: 2.5e-4 with rmsprop; Rainbow: 6.25e-5 with adam)."""
    adam_eps: Positive = 1.5e-4
    """Adam's epsilon (Rainbow: 1.5e-4, far above the usual 1e-8)."""
    rmsprop_decay: Share = 0.95
    """Share of the past in rmsprop's running means of the gradient and of its square (DQN: 0.95)."""
    rmsprop_eps: Positive = 0.01 / 32**2
    """rmsprop's epsilon, below the root (DQN: 0.01 for gradients summed over 32 rows, 0.01 / 32^2 for their mean)."""
    max_grad_norm: NotNegativeNumber = 10.0
    """Global gradient norm above which the gradient is scaled down (Wang et al. 2016: 10); 0 never scales."""
    target_update_period_updates: Count = 250
    """Updates between steps of the target network (DQN: 10,000; Rainbow: 2,000)."""
    tau: Annotated[float, Bound("more than 0, at most 1", lambda value: 0 < value <= 1)] = 1.0
    """Share of the online network in a step of the target: 1 copies it (DQN), below 1 is Polyak averaging."""

    epsilon_schedule: Literal["linear", "exponential", "asymptotic"] = "linear"
    """How epsilon falls: linear (DQN), by a constant factor, or asymptotic: end + (start - end) exp(-t / epsilon_steps)."""
    epsilon_start: Share = 1.0
    """Share of random actions at the first update, all before are random (DQN: 1); noisy networks use 0."""
    epsilon_end: Share = 0.05
    """Last share of random actions (DQN: 0.1; Rainbow's DQN: 0.01)."""
    epsilon_hold_steps: NotNegative = 0
    """Steps from the first update on that epsilon stays at epsilon_start before it falls."""
    epsilon_steps: NotNegative = 10_000
    """Steps of its fall until epsilon_end (DQN: 1,000,000; Hessel et al. 2018: 62,500)."""
    epsilon_last_steps: Count | None = None
    """Steps of the run after which epsilon is 0, for noisy networks that no longer need it; None: never."""
    eval_epsilon: Share = 0.0
    """Share of random actions in evaluation (Rainbow on Atari: 0.001, against deterministic loops)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_unless(self.v_max > self.v_min, "v_max", f"more than v_min ({self.v_min:g})", self.v_max)
        is_soft = self.target == "munchausen"
        refuse_unless(not (self.double and is_soft), "double", "false with munchausen targets", self.double)
        if self.epsilon_schedule == "exponential":
            for name in ("epsilon_start", "epsilon_end"):
                value = getattr(self, name)
                refuse_unless(value > 0, name, "more than 0 for an exponential schedule", value)
        for name, plain in (("torso_width", 1), ("pool_size", 0)):
            value = getattr(self, name)
            fits = self.torso != "mlp" or value == plain
            refuse_unless(fits, name, f"{plain} with the mlp torso, which has no convolutions", value)
        fits = self.rmsprop_decay < 1
        refuse_unless(fits, "rmsprop_decay", "less than 1", self.rmsprop_decay)

    @property
    def categorical(self) -> bool:
        """Whether a support bounds the values (C51, HL-Gauss); the loss decides it."""
        return self.loss in ("cross_entropy", "hl_gauss")

    @property
    def is_small(self) -> bool:
        has_values_alone = self.loss in ("huber", "squared")
        return self.torso == "mlp" or (self.torso == "tiny_pixels" and has_values_alone)

    def check(self, run: Run) -> None:
        """A return beyond the support counts as its edge without a word (C51's 10 suits clipped, sparse rewards): refused
        where it is known that there are such returns."""
        fits = not self.batch_norm or run.replay.batch_size > 1
        refuse_unless(fits, "batch_size", "at least 2 with batch_norm", run.replay.batch_size)
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

    def needs(self) -> tuple[Needs, ...]:
        loss, fractions = self.loss, ("num_fractions", "num_target_fractions", "num_action_fractions")
        explores = not self.noisy or self.noisy_epsilon
        of_epsilon = (
            "epsilon_schedule",
            "epsilon_start",
            "epsilon_end",
            "epsilon_hold_steps",
            "epsilon_steps",
        )
        of_munchausen = ("munchausen_alpha", "temperature", "log_policy_min")
        return (
            *super().needs(),
            Needs("--torso mlp", self.torso == "mlp", ("hidden_sizes",)),
            Needs("--noisy", self.noisy, ("noisy_epsilon", "noisy_sigma")),
            Needs("--noisy-epsilon, as the noise explores by itself", explores, of_epsilon),
            Needs("--loss cross_entropy or hl_gauss", self.categorical, ("num_atoms", "v_min", "v_max")),
            Needs("--loss hl_gauss", loss == "hl_gauss", ("smoothing",)),
            Needs("--loss quantile", loss == "quantile", ("num_quantiles",)),
            Needs("--loss implicit_quantile", loss == "implicit_quantile", fractions),
            Needs("--target munchausen", self.target == "munchausen", of_munchausen),
            Needs("--optimizer adam", self.optimizer == "adam", ("adam_eps",)),
            Needs("--optimizer rmsprop", self.optimizer == "rmsprop", ("rmsprop_decay", "rmsprop_eps")),
        )

    def protocol(self) -> str:
        return f"evaluation epsilon {self.eval_epsilon:g}"

    def notes(self, run: Run) -> tuple[str, ...]:
        """The bounds of return distributions, where nothing is known of the rewards; on Atari, whose values are used."""
        notes: tuple[str, ...] = ()
        has_bounds = run.env.clip_rewards or None not in _reward_bounds(run)
        is_known = has_bounds and run.replay.gamma < 1.0  # else returns grow with the length of an episode
        if self.categorical and not is_known:
            bounds = f"[{self.v_min:g}, {self.v_max:g}]"
            notes = (f"support: returns beyond {bounds} count as its edge; --v-min and --v-max move it",)
        is_of_paper = run.protocol is not None or run.preset in ("pong", "btr", "der")
        if run.env.env_id.startswith("ALE/") and not is_of_paper:
            notes = (*notes, _WHOSE_VALUES)
        return notes


_WHOSE_VALUES = (
    "values: those of Rainbow (Hessel et al. 2018, table 1) whichever parts are on, but 4 environments and gradients scaled "
    "at norm 10; --protocol nature, rainbow or dopamine sets all values of one paper"
)


def _reward_bounds(run: Run) -> tuple[float | None, float | None]:
    """The smallest and the largest reward that the learner may get in every step, each None where it is not known."""
    lowest, highest = run.env.min_reward_per_step, run.env.max_reward_per_step
    if not run.env.clip_rewards:
        return lowest, highest
    return None if lowest is None else max(lowest, -1.0), None if highest is None else min(highest, 1.0)
