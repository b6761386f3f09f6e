"""Values that suit agents with continuous actions: for every environment, then for those that are known by their ids.

    defaults of the fields  <  VALUES  <  ENVIRONMENTS[env_id]  <  the agent's own  <  the preset  <  what the caller overrides

Rates and sizes are those of Fujimoto et al. 2018 and Haarnoja et al. 2018: an update in every step, batches of 256, a million
rows. Four environments are stepped together, with as many updates for each step as with one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["DEFAULT_ENVIRONMENT", "ENVIRONMENTS", "VALUES", "defaults_of"]

Values = Mapping[str, Any]

DEFAULT_ENVIRONMENT = "Pendulum-v1"

VALUES: Values = {
    "capacity": 1_000_000,
    "batch_size": 256,
    "min_replay_steps": 10_000,
    "learn_period_steps": 1,
    "steps": 1_000_000,
    "checkpoint_period_steps": 25_000,
    "log_period_steps": 1_000,
    "best_episodes": 10,
}

ENVIRONMENTS: dict[str, Values] = {
    # A pendulum of three numbers needs no more than 64 units, and forgets soon: what is 50 steps ahead counts a third.
    "Pendulum-v1": {
        "hidden_sizes": (64, 64),
        "learning_rate": 1e-3,
        "gamma": 0.98,
        "batch_size": 128,
        "min_replay_steps": 1_000,
        "steps": 20_000,
        "checkpoint_period_steps": 2_000,
        "best_episodes": 20,
    },
    # The rates of RL Baselines3 Zoo; fewer random steps and a larger step size than in the papers, for a tenth of their budget.
    "HalfCheetah-v5": {
        "learning_rate": 1e-3,
        "min_replay_steps": 5_000,
        "steps": 100_000,
        "checkpoint_period_steps": 10_000,
    },
    "LunarLanderContinuous-v3": {
        "learning_rate": 1e-3,
        "steps": 300_000,
        "checkpoint_period_steps": 20_000,
        "best_episodes": 20,
    },
}


def defaults_of(own: Mapping[str, Values]) -> Callable[[str, str, Values], Values]:
    """What suits an environment (see `registry.Registered.defaults`) an agent that has values of its `own` for some."""

    def defaults(env_id: str, family: str, parts: Values) -> Values:
        return {**VALUES, **ENVIRONMENTS.get(env_id, {}), **own.get(env_id, {})}

    return defaults
