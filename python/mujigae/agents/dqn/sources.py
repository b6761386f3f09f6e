"""A value of the configuration and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Sourced", "Table", "from_one", "values_of"]


class Sourced(NamedTuple):
    """What a paper, or its code where the paper is silent, says of one field."""

    value: Any
    source: str


Table = Mapping[str, Sourced]


def from_one(source: str, **values: Any) -> dict[str, Sourced]:
    """Fields that have one source."""
    return {name: Sourced(value, source) for name, value in values.items()}


def values_of(table: Table) -> dict[str, Any]:
    """The values alone."""
    return {name: told.value for name, told in table.items()}
