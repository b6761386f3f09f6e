"""From an environment's id to something an agent can step, with one line that says how it is played."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mujigae.config.run import EnvConfig
from mujigae.envs.environment import Environment
from mujigae.envs.families import Family, family_for

__all__ = ["family_of", "make"]


def make(options: EnvConfig, *, training: bool, render: bool = False) -> Environment:
    """Opens `options.num_envs` environments.

    Args:
        options: which, and how.
        training: False for evaluation, which differs in one thing: a lost life is no terminal.
        render: whether `Environment.render` shall work.

    Raises:
        ConfigError: the id is unknown (the message has close matches), or cannot be opened or drawn.
        MissingExtraError: it needs a package that is not installed.
    """
    family = family_for(options)
    return replace(family.make(options, training=training, render=render), family=family.name)


def family_of(env_id: str, **changes: Any) -> Family:
    """The family of an environment, `changes` being other fields of EnvConfig; raises as `make` does."""
    return family_for(EnvConfig(env_id, **changes))
