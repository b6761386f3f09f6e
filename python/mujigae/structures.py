"""Dicts and tuples of arrays, as observations of several parts come, and of further dicts and tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["map_arrays"]


def map_arrays(function: Callable[..., Any], structure: Any, *others: Any) -> Any:
    """`function` of the arrays at the same place of structures that are built alike; the result is built like the first.

    What is neither a dict nor a tuple counts as an array. A NamedTuple stays one.
    """
    if isinstance(structure, dict):
        return {
            name: map_arrays(function, part, *(other[name] for other in others))
            for name, part in structure.items()
        }
    if isinstance(structure, tuple):
        parts = [map_arrays(function, *alike) for alike in zip(structure, *others, strict=True)]
        return structure._make(parts) if hasattr(structure, "_make") else tuple(parts)
    return function(structure, *others)
