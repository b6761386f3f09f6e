"""What a run is made of: a preset chooses the parts, the environment's family gives sizes, rates and budget.

    Config's defaults  <  FAMILIES[family]  <  NOISY_FAMILIES[family]  <  CATEGORICAL_FAMILIES[family]
        <  ENVIRONMENTS[env_id]  <  PRESETS[preset]  <  what the caller overrides

NOISY_FAMILIES is for noisy layers, CATEGORICAL_FAMILIES for return distributions, whether the preset or the caller
switched them on.

The "atari" family is that of Hessel et al. 2018: table 1, the text for epsilon (0.01 after 250,000 frames, 62,500 steps).
Two things differ: four environments are stepped together with one update per vector step (the paper: one environment,
one update every four steps), and gradients are clipped at a norm of 10, as Wang et al. 2016 do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from mujigae.config.run import Config, close_matches
from mujigae.errors import ConfigError, require

__all__ = [
    "CATEGORICAL_FAMILIES",
    "DEFAULT_ENVIRONMENTS",
    "ENVIRONMENTS",
    "FAMILIES",
    "NOISY_FAMILIES",
    "PRESETS",
    "default_environment",
    "resolve",
]

Values = Mapping[str, Any]

# One line for each preset in `mujigae info`; the parts are the family of Hessel et al. 2018, figure 1.
PRESETS: dict[str, Values] = {
    "dqn": {},
    "double": {"double": True},
    "dueling": {"dueling": True},
    "prioritized": {"prioritized": True},
    "n_step": {"n_step": 3},
    "noisy": {"noisy": True},
    "c51": {"loss": "cross_entropy"},
    "rainbow": {
        "double": True,
        "dueling": True,
        "prioritized": True,
        "alpha": 0.5,
        "n_step": 3,
        "noisy": True,
        "loss": "cross_entropy",
    },
    # Pong on two CPU cores: frames a quarter of the usual area, a torso to match, bfloat16 where it is faster. A rally
    # lasts dozens of steps, so long windows bring its outcome back sooner; and the gradients of so small errors, divided
    # by importance weights, are far below the paper's epsilon for Adam, which would all but stop it. One random action in a
    # hundred costs an agent that plays well several points a game, so exploration ends at one in a thousand.
    "pong": {
        "double": True,
        "dueling": True,
        "prioritized": True,
        "n_step": 10,
        "num_envs": 16,
        "frame_size": 42,
        "life_loss": False,
        "torso": "small_pixels",
        "head_size": 256,
        "learning_rate": 3e-4,
        "adam_eps": 1e-5,
        "batch_size": 64,
        "learn_period_steps": 8,
        "target_update_period_updates": 500,
        "capacity": 100_000,
        "min_replay_steps": 10_000,
        "alpha": 0.5,
        "epsilon_schedule": "exponential",
        "epsilon_end": 0.001,
        "epsilon_steps": 100_000,
        "precision": "fastest",
        "channels_last": True,
        "overlap": True,
        "steps": 1_000_000,
        "stop_score": 18.0,
        "checkpoint_period_steps": 250_000,
    },
}

FAMILIES: dict[str, Values] = {
    # A value travels back by one window each time the target is copied, and those of CartPole by a hundred steps: so
    # the target is copied often. Noise of the paper's 0.5, meant for 512 units and millions of frames, drowns what so
    # small a network has to say.
    "vector": {
        "hidden_sizes": (256,),
        "head_size": 256,
        "learning_rate": 1e-3,
        "adam_eps": 1e-8,
        "learn_period_steps": 128,
        "num_updates": 64,
        "target_update_period_updates": 32,
        "noisy_sigma": 0.3,
        "epsilon_steps": 5_000,
    },
    "pixels": {
        "clip_rewards": True,
        "torso": "small_pixels",
        "learning_rate": 3e-4,
        "capacity": 100_000,
        "min_replay_steps": 5_000,
        "batch_size": 32,
        "target_update_period_updates": 1_000,
        "epsilon_end": 0.01,
        "epsilon_steps": 100_000,
        "steps": 1_000_000,
        "checkpoint_period_steps": 100_000,
        "log_period_steps": 5_000,
    },
    "tiny_pixels": {
        "clip_rewards": True,
        "torso": "tiny_pixels",
        "head_size": 128,
        "learning_rate": 3e-4,
        "capacity": 100_000,
        "min_replay_steps": 5_000,
        "batch_size": 32,
        "target_update_period_updates": 1_000,
        "epsilon_end": 0.01,
        "epsilon_steps": 100_000,
        "steps": 1_000_000,
        "checkpoint_period_steps": 100_000,
        "log_period_steps": 5_000,
    },
    "atari": {
        "clip_rewards": True,
        "torso": "nature",
        "head_size": 512,
        "learning_rate": 6.25e-5,
        "batch_size": 32,
        "learn_period_steps": 4,
        "target_update_period_updates": 2_000,
        "capacity": 1_000_000,
        "min_replay_steps": 20_000,
        "epsilon_end": 0.01,
        "epsilon_steps": 62_500,
        "eval_epsilon": 0.001,
        "steps": 50_000_000,
        "checkpoint_period_steps": 1_000_000,
        "log_period_steps": 5_000,
    },
}

# What a family changes for noisy layers: values that noise alone explores for can run away when the target is copied often.
NOISY_FAMILIES: dict[str, Values] = {
    "vector": {"target_update_period_updates": 64},
}

# What a family changes for return distributions: they are bounded, and cannot run away.
CATEGORICAL_FAMILIES: dict[str, Values] = {
    "vector": {
        "hidden_sizes": (128,),
        "head_size": 128,
        "noisy_sigma": 0.1,
        "target_update_period_updates": 32,
    },
}

ENVIRONMENTS: dict[str, Values] = {
    "CartPole-v1": {
        "steps": 50_000,
        "checkpoint_period_steps": 2_560,
        "best_episodes": 20,
        "stop_evaluation": 500.0,
        "max_reward_per_step": 1.0,
        "v_min": 0.0,
        "v_max": 100.0,
    },
    # A reward of -1 in every step until the goal.
    "Acrobot-v1": {"v_min": -100.0, "v_max": 0.0},
    "MountainCar-v0": {"v_min": -100.0, "v_max": 0.0},
}

DEFAULT_ENVIRONMENTS: dict[str, str] = {"pong": "ALE/Pong-v5"}


def default_environment(preset: str) -> str:
    """The environment of a preset that was asked for without one."""
    return DEFAULT_ENVIRONMENTS.get(preset, Config.env_id)


def resolve(preset: str, env_id: str | None = None, overrides: Values | None = None) -> Config:
    """The merged Config, with nothing left to decide: the same on every machine once it is saved.

    Raises ConfigError for an unknown preset, environment or option (with close matches) and for values that
    do not fit.
    """
    env_id = default_environment(preset) if env_id is None else env_id
    merged = {**defaults(preset, env_id, overrides), **(overrides or {})}
    return decided(Config.from_mapping(merged))


def defaults(preset: str, env_id: str, overrides: Values | None = None) -> dict[str, Any]:
    """What `preset` on `env_id` sets for someone who overrides it so: without the overrides, but to go with their parts."""
    if preset not in PRESETS:
        raise ConfigError(f"preset: unknown preset {preset!r}{close_matches(preset, list(PRESETS))}")
    parts = PRESETS[preset]
    return {
        **_family_values(env_id, {**parts, **(overrides or {})}),
        **ENVIRONMENTS.get(env_id, {}),
        **parts,
        "preset": preset,
        "env_id": env_id,
    }


def decided(config: Config) -> Config:
    """Fills in what depends on the machine or on other fields."""
    beta_steps = config.steps if config.beta_steps is None else config.beta_steps
    num_threads = _num_threads(config) if config.num_threads is None else config.num_threads
    precision = (
        _fastest_precision(config.device, num_threads) if config.precision == "fastest" else config.precision
    )
    return replace(config, beta_steps=beta_steps, num_threads=num_threads, precision=precision)


def _num_threads(config: Config) -> int:
    """A small mlp is done before a second thread has woken up."""
    if config.torso == "mlp":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fastest_precision(device: str, num_threads: int) -> Literal["float32", "bfloat16"]:
    """Measured, not guessed: without hardware for it, bfloat16 is many times slower than float32."""
    require("torch", "train")
    from mujigae.training.precision import faster_precision

    return faster_precision(device, num_threads)


def _family_values(env_id: str, parts: Values) -> Values:
    """Empty for spaces of no family: the agent says best what it cannot handle."""
    require("gymnasium", "train")
    from mujigae.envs.make import family_of

    tables = [FAMILIES]
    tables += [NOISY_FAMILIES] if parts.get("noisy") else []
    tables += [CATEGORICAL_FAMILIES] if parts.get("loss") == "cross_entropy" else []
    family = family_of(env_id)
    return {name: value for table in tables for name, value in table.get(family, {}).items()}
