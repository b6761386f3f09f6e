"""Agents by name: where a class comes from, which presets it has, and what suits it in which environment.

The class itself is imported when a run is built: listing presets and options needs no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib import metadata
from typing import Any

from mujigae.agents.agent import Agent
from mujigae.agents.cem import presets as cem
from mujigae.agents.cem.config import CEMConfig
from mujigae.agents.continuous.presets import DEFAULT_ENVIRONMENT, defaults_of
from mujigae.agents.ddpg import presets as ddpg
from mujigae.agents.ddpg.config import DDPGConfig
from mujigae.agents.dqn import presets as dqn
from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.dqn.protocols import protocol_values
from mujigae.agents.naf.config import NAFConfig
from mujigae.agents.sac.config import SACConfig
from mujigae.config.checks import close_matches
from mujigae.config.run import AgentConfig, Run, flat_fields
from mujigae.errors import ConfigError

__all__ = [
    "ENTRY_POINTS",
    "Registered",
    "config_of",
    "create_agent",
    "lookup",
    "offered",
    "preset_values",
    "presets",
    "register",
]

ENTRY_POINTS = __name__.removesuffix(".registry")  # the group is named as this package is

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Registered:
    """One agent as the registry knows it."""

    name: str
    source: type[Agent] | str  # the class, or module:Class to import it from
    config_class: type[AgentConfig]
    presets: Mapping[str, Values] = field(default_factory=dict)
    defaults: Callable[[str, str, Values], Values] = lambda env_id, family, parts: {}
    """From an environment's id, its family and what preset and caller chose to values that suit them."""
    default_environments: Mapping[str, str] = field(default_factory=dict)
    protocol: Callable[[str, dict[str, Any]], Values] | None = None
    """From a protocol and the parts that were chosen to the values of its paper; None: an agent that knows none."""
    takes_action_masks: bool = False
    records_updates: bool = False
    """Whether its updates can be recorded as CUDA graphs."""

    def agent_class(self) -> type[Agent]:
        """The class; raises ConfigError where it cannot be imported."""
        return _imported(self.source) if isinstance(self.source, str) else self.source


_REGISTRY: dict[str, Registered] = {}


def register(name: str, agent: type[Agent], *, presets: Mapping[str, Values] | None = None) -> None:
    """Makes `agent` known as `mujigae train NAME`; each of `presets` is another name, with values for options.

    Raises ConfigError for a name that is taken by another agent, and for an option that means something else already.
    """
    presets = {name: {}} if presets is None else presets
    for preset in presets:
        owner = _owner(preset)
        if owner is not None and owner.source is not agent:
            raise ConfigError(f"name: {preset!r} is taken by the agent {owner.name!r}")
    _add(_registered(name, agent, presets))


def lookup(name: str) -> Registered:
    """The agent registered as `name`, that of an entry point, or module:Class; ConfigError where there is none."""
    if name not in _REGISTRY and ":" in name:
        agent = _imported(name)
        _add(_registered(name, agent, {name: {}}))
    if name not in _REGISTRY:
        _load_entry_point(name)
    if name not in _REGISTRY:
        known = [*_REGISTRY, *_entry_points()]
        raise ConfigError(f"agent_name: unknown agent {name!r}{close_matches(name, known)}")
    return _REGISTRY[name]


def config_of(name: str) -> type[AgentConfig]:
    """The dataclass of the options of the agent `name`; raises as `lookup` does."""
    return lookup(name).config_class


def create_agent(run: Run, observation_space: Any, action_space: Any) -> Agent:
    """The agent of `run`; raises ConfigError for spaces that its class does not list, and what its constructor raises."""
    agent = lookup(run.agent_name).agent_class()
    handles = f"{agent.__name__} handles {_listed(agent.action_spaces)} actions and {_listed(agent.observation_spaces)}"
    for name, space, kinds in (
        ("action_space", action_space, agent.action_spaces),
        ("observation_space", observation_space, agent.observation_spaces),
    ):
        if not {kind.__name__ for kind in type(space).__mro__} & {*kinds}:
            raise ConfigError(f"{name}: {handles} observations, got {space}")
    return agent(run, observation_space, action_space)


def presets() -> dict[str, Registered]:
    """Every preset of every registered agent; that of an entry point once it was asked for."""
    return {preset: agent for agent in _REGISTRY.values() for preset in agent.presets}


def offered() -> dict[str, str]:
    """The agents that installed packages offer by entry points, name -> module:Class; none is imported for this."""
    return {name: entry.value for name, entry in _entry_points().items()}


def preset_values(preset: str) -> tuple[Registered, Values]:
    """The agent of a preset and the values that it sets; raises ConfigError with close matches."""
    agent = _owner(preset)
    if agent is None and ":" in preset:
        agent = lookup(preset)
    if agent is None:
        _load_entry_point(preset)
        agent = _owner(preset)
    if agent is None:
        known = [*presets(), *_entry_points()]
        raise ConfigError(f"preset: unknown preset {preset!r}{close_matches(preset, known)}")
    return agent, agent.presets[preset]


def _listed(kinds: tuple[str, ...]) -> str:
    return ", ".join(kinds)


def _owner(preset: str) -> Registered | None:
    return presets().get(preset)


def _registered(name: str, agent: type[Agent], presets: Mapping[str, Values]) -> Registered:
    return Registered(name, agent, agent.config_class, presets, takes_action_masks=agent.takes_action_masks)


def _add(agent: Registered) -> None:
    shared = flat_fields(AgentConfig)
    for option in fields(agent.config_class):
        if option.name in shared:
            raise ConfigError(f"{agent.name}: the option {option.name!r} is one of every run already")
    _REGISTRY[agent.name] = agent


def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {entry.name: entry for entry in metadata.entry_points(group=ENTRY_POINTS)}


def _load_entry_point(name: str) -> None:
    """Registers the class that an installed package offers as `name`, if one does; ConfigError where it cannot be imported."""
    entry = _entry_points().get(name)
    if entry is not None:
        register(entry.name, _imported(entry.value))


def _imported(source: str) -> type[Agent]:
    """module:Class"""
    module_name, _, class_name = source.partition(":")
    try:
        agent = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:
        words = " ".join(str(error).split())
        raise ConfigError(
            f"preset: {source!r} cannot be imported ({type(error).__name__}: {words})"
        ) from error
    if not isinstance(agent, type) or not hasattr(agent, "config_class"):
        raise ConfigError(
            f"preset: expected {source!r} to be a class derived from mujigae.agents.Agent, got {agent!r}"
        )
    return agent


_add(
    Registered(
        "dqn",
        "mujigae.agents.dqn.agent:DQN",
        DQNConfig,
        dqn.PRESETS,
        dqn.defaults,
        dqn.DEFAULT_ENVIRONMENTS,
        protocol_values,
        takes_action_masks=True,
        records_updates=True,
    )
)


def _add_continuous(
    name: str,
    source: str,
    config_class: type[AgentConfig],
    presets: Mapping[str, Values],
    environments: Mapping[str, Values],
) -> None:
    default_environments = dict.fromkeys(presets, DEFAULT_ENVIRONMENT)
    _add(Registered(name, source, config_class, presets, defaults_of(environments), default_environments))


_add_continuous("ddpg", "mujigae.agents.ddpg.agent:DDPG", DDPGConfig, ddpg.PRESETS, ddpg.ENVIRONMENTS)
_add_continuous("sac", "mujigae.agents.sac.agent:SAC", SACConfig, {"sac": {}}, {})
_add_continuous("naf", "mujigae.agents.naf.agent:NAF", NAFConfig, {"naf": {}}, {})
_add_continuous("cem", "mujigae.agents.cem.agent:CEM", CEMConfig, {"cem": {}}, cem.ENVIRONMENTS)
