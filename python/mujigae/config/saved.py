"""config.json: a Run as nested JSON, and read again with every field checked.

    {"version": 2, "preset": "rainbow", "agent_name": "dqn", "seed": 0, "env": {...}, "agent": {...}, "replay": {...},
     "budget": {...}, "hardware": {...}}

A field that is unknown, of the wrong type or out of bounds is a ConfigError that names it, and so is a part that is
missing. A missing field of a part has its default, so a run is read after options have been added: the default of a new
option is what was done before it. Version 1, written until mujigae 0.1, was one flat object without a version and of the
DQN family alone; it is read in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from mujigae.config.checks import close_matches
from mujigae.config.run import PARTS, AgentConfig, Run, part_types
from mujigae.errors import ConfigError

__all__ = ["VERSION", "flat_values", "run_from_values", "run_to_json"]

VERSION = 2

ConfigOf = Callable[[str], type[AgentConfig]]


def run_to_json(run: Run) -> str:
    """The text of config.json; `run_from_values` gives back an equal Run."""
    return json.dumps({"version": VERSION, **asdict(run)}, indent=2) + "\n"


def run_from_values(values: Mapping[str, Any], config_of: ConfigOf) -> Run:
    """From config.json's object, of either version; raises ConfigError for anything else.

    config_of: from an agent's name to the dataclass of its part.
    """
    if "version" not in values:
        return Run.from_flat({"agent_name": "dqn", **values}, config_of("dqn"))
    if values["version"] != VERSION:
        raise ConfigError(f"config: expected version {VERSION} or 1, got version {values['version']!r}")
    agent_name = values.get("agent_name")
    if not isinstance(agent_name, str):
        raise ConfigError(f"agent_name: expected a string, got {agent_name!r}")
    types = part_types(config_of(agent_name))
    names = ["version", *(f.name for f in fields(Run))]
    _check_names(values, names, "config")
    for name in names:
        if name not in values:
            raise ConfigError(f"config: expected {name}, which is missing")
    for name, part in types.items():
        if not isinstance(values[name], dict):
            raise ConfigError(f"{name}: expected a JSON object, got {type(values[name]).__name__}")
        _check_names(values[name], [f.name for f in fields(part)], name)
    flat = flat_values(values)
    del flat["version"]
    return Run.from_flat(flat, types["agent"])


def flat_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of all parts in config.json's object, of either version; nothing is checked."""
    flat = {name: value for name, value in values.items() if name not in PARTS}
    for name in PARTS:
        part = values.get(name)
        flat |= part if isinstance(part, dict) else {}
    return flat


def _check_names(values: Mapping[str, Any], known: list[str], where: str) -> None:
    for name in values:
        if name not in known:
            raise ConfigError(f"{where}: unknown option {name!r}{close_matches(name, known)}")
