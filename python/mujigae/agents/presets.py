"""From a preset, an environment and what the caller says to a whole configuration.

the fields' defaults  <  the environment's family  <  what helps on a CUDA device  <  what the agent says of both  <  the preset  <  the protocol
                      <  what runs with actors have to be without  <  the caller
"""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any, get_args

from mujigae.agents.learning_rate import LearningRateConfig, updates_of_budget
from mujigae.agents.registry import Registered, Values, preset_values
from mujigae.config.checks import field_types
from mujigae.config.run import WITH_ACTORS, EnvConfig, Run, flat_fields
from mujigae.errors import ConfigError, require

__all__ = ["default_environment", "resolve"]


def default_environment(preset: str) -> str:
    """The environment of a preset that was asked for without one."""
    agent, _ = preset_values(preset)
    return agent.default_environments.get(preset, EnvConfig.env_id)


def resolve(
    preset: str, env_id: str | None = None, overrides: Values | None = None, *, num_workers: int = 0
) -> Run:
    """The merged configuration, the same on every machine once it is saved.

    num_workers: actors and shards, processes beside this one that the rows come from.

    Raises ConfigError for an unknown preset, environment or option (with close matches) and for values that
    do not fit.
    """
    agent, values = preset_values(preset)
    env_id = default_environment(preset) if env_id is None else env_id
    masks = {"action_masks": agent.takes_action_masks}
    chosen = {**masks, **values, **(overrides or {})}
    family = _family(env_id, chosen)
    known = flat_fields(agent.config_class)
    merged: dict[str, Any] = {
        **masks,
        **{name: value for name, value in family.defaults.items() if name in known},
        **_on_cuda(agent, family.name, chosen),
        **agent.defaults(env_id, family.name, chosen),
        **values,
        **_protocol_values(agent, family.name, chosen),
        **(WITH_ACTORS if num_workers else {}),
        **{"preset": preset, "agent_name": agent.name, "env_id": env_id},
        **(overrides or {}),
    }
    return _decided(Run.from_flat(merged, agent.config_class), num_workers)


def _on_cuda(agent: Registered, family: str, chosen: dict[str, Any]) -> Values:
    """The switches that help where an update is on a GPU: `--device cuda` alone turns them on."""
    if not str(chosen.get("device", "cpu")).startswith("cuda"):
        return {}
    has_images = family in ("atari", "pixels", "minatar", "tiny_pixels")
    of_images = {
        "channels_last": True,
        "precision": "fastest",
        "frames_on_device": not chosen.get("prefetch"),
    }
    everywhere = {"cuda_graphs": agent.records_updates, "overlap": True}
    return everywhere | (of_images if has_images else {})


def _protocol_values(agent: Registered, family: str, chosen: dict[str, Any]) -> Values:
    """Those of the paper that --protocol names; ConfigError away from Atari and for an agent that has none."""
    protocol = chosen.get("protocol")
    if protocol is None:
        return {}
    known = field_types(Run)["protocol"]
    if protocol not in get_args(get_args(known)[0]):
        return {}  # Run says what it expected
    if family != "atari":
        raise ConfigError(
            f"protocol: expected an environment of Atari (ALE/<Game>-v5) for {protocol}, got a {family} one"
        )
    if agent.protocol is None:
        raise ConfigError(f"protocol: expected an agent of the DQN family, got {agent.name}")
    return agent.protocol(protocol, chosen)


def _family(env_id: str, chosen: Values) -> Any:
    """The environment's Family, as it is opened with the fields of EnvConfig that are among `chosen`."""
    require("gymnasium", "train")
    from mujigae.envs.make import family_of

    names = {f.name for f in fields(EnvConfig)} - {"env_id"}
    return family_of(env_id, **{name: value for name, value in chosen.items() if name in names})


def _decided(run: Run, num_workers: int) -> Run:
    """Fills in what depends on the machine or on other fields."""
    beta_steps = run.replay.beta_steps
    if beta_steps is None and run.budget.minutes is None:
        beta_steps = max(run.budget.steps - run.replay.first_update_steps, 1)
    threads = run.hardware.num_threads
    rates = run.agent if isinstance(run.agent, LearningRateConfig) else LearningRateConfig()
    if rates.learning_rate_end is not None and rates.learning_rate_updates is None:
        # A run that is resumed with a larger budget stays at the end that it had reached.
        run = run.changed(learning_rate_updates=max(updates_of_budget(run), 1))
    return run.changed(
        beta_steps=beta_steps, num_threads=_num_threads(run, num_workers) if threads is None else threads
    )


def _num_threads(run: Run, num_workers: int) -> int:
    """Torch's threads wait for each other at every step of an update: one without a core of its own holds up all of them."""
    if run.agent.is_small:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores - (num_workers or run.hardware.overlap), 1)
