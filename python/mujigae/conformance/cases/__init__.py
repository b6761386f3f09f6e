"""The cases by topic; importing this registers them all."""

from __future__ import annotations

from mujigae.conformance.cases import (
    arguments,
    frames,
    priorities,
    rows,
    samplers,
    sequences,
    statistics,
    storage,
    streams,
    threads,
    trees,
    windows,
)

__all__ = [
    "arguments",
    "frames",
    "priorities",
    "rows",
    "samplers",
    "sequences",
    "statistics",
    "storage",
    "streams",
    "threads",
    "trees",
    "windows",
]
