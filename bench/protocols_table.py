"""The tables of docs/protocols.md: options, values and sources, as the code has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mujigae.agents.dqn.beyond import BTR, DER
from mujigae.agents.dqn.protocols import LOSS_PROTOCOLS, PROTOCOLS, UNIFORM_C51
from mujigae.agents.dqn.sources import Table

__all__ = ["beyond", "protocols"]

MakeTable = Callable[[list[str], list[list[Any]]], str]


def protocols(table: MakeTable) -> str:
    """One table for each protocol, and what Dopamine has of its own for some losses."""
    parts = []
    for name, values in PROTOCOLS.items():
        parts += [f"### `--protocol {name}`", by_source(values, table)]
    for name, losses in LOSS_PROTOCOLS.items():
        own = losses | {"cross_entropy without prioritized replay": UNIFORM_C51}
        rows = [[f"`{name}`, {loss}", *row] for loss, values in own.items() for row in rows_of(values)]
        parts += ["### For some losses", table(["protocol and loss", "options", "source"], rows)]
    return "\n\n".join(parts)


def beyond(table: MakeTable) -> str:
    """One table for each preset of `beyond.py`."""
    parts = []
    for name, values in {"btr": BTR, "der": DER}.items():
        parts += [f"### `{name}`", by_source(values, table)]
    return "\n\n".join(parts)


def by_source(values: Table, table: MakeTable) -> str:
    return table(["options", "source"], rows_of(values))


def rows_of(values: Table) -> list[list[str]]:
    """One row for each source, in the order of the first field that has it."""
    grouped: dict[str, list[str]] = {}
    for name, told in values.items():
        grouped.setdefault(told.source, []).append(option(name, told.value))
    return [[" ".join(options), source] for source, options in grouped.items()]


def option(name: str, value: Any) -> str:
    """As on the command line."""
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return f"`--{'' if value else 'no-'}{dashed}`"
    is_short = isinstance(value, float) and float(f"{value:g}") == value
    return f"`--{dashed} {value:g}`" if is_short else f"`--{dashed} {value}`"
