"""The README's table: a few numbers of mujigae, each beside the best of the other libraries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.speed_results import Results
from bench.speed_table import COMPRESSED, TARGETS, conditions

# What the README calls a piece of work, and the target that measures it.
SPEED = {
    "draw 256 of 2^20 rows by priority": "tree draw, N = 2^20, B = 256",
    "set 256 of 2^20 priorities": "tree update of random leaves, N = 2^20, B = 256",
    "Atari: draw a prioritized batch of 32, set its priorities": "Atari cycle, B = 32",
    "the same, a batch of 256": "Atari cycle, B = 256",
    "17 floats, a million rows: the same, a batch of 256": "17-float cycle, 1M rows, prioritized, B = 256",
    "add a step of Atari": "Atari add, one environment, a step",
    "memory of an Atari transition": "Atari memory, a transition",
}
RUN = "pong"

Table = Callable[[list[str], list[list[Any]]], str]


def headline(folder: Path, results: Results, conformance: list[dict[str, Any]], table: Table) -> str:
    """Speed and memory, then correctness, then the run of the README's first command."""
    rows = [*speed_rows(results), *correctness_rows(conformance), *training_rows(folder)]
    return f"{table(['', 'mujigae', 'best of the others'], rows)}\n\n{conditions(results)}"


def speed_rows(results: Results) -> list[list[str]]:
    measured = {target.work: target.measure(results) for target in TARGETS}
    found = [(name, measured[work]) for name, work in SPEED.items()]
    rows = [[name, outcome.ours, outcome.other] for name, outcome in found if outcome is not None]
    compressed = results.bytes_each(COMPRESSED)
    if rows and compressed is not None and rows[-1][0].startswith("memory"):
        rows[-1][1] += f"; {compressed:,.0f} with `compress=True`"
    return rows


def correctness_rows(conformance: list[dict[str, Any]]) -> list[list[str]]:
    """How many tests each passes; the first library is mujigae."""
    if not conformance:
        return []
    ours, *others = conformance
    best = max(others, key=lambda each: each["counts"]["passed"])
    total = sum(ours["counts"].values())
    work = f"tests of correctness, {total} in all"
    return [[work, outcomes(ours), f"{best['name']} {outcomes(best)}"]]


def outcomes(library: dict[str, Any]) -> str:
    counts = library["counts"]
    text = f"{counts['passed']} passed, {counts['failed']} failed"
    return text + (f", {counts['not offered']} not offered" if counts["not offered"] else "")


def training_rows(folder: Path) -> list[list[str]]:
    path = folder / RUN / "summary.json"
    if not path.exists():
        return []
    run = json.loads(path.read_text())
    minutes = run["training"]["minutes_to_stop_score"]["100"]
    work = f"Pong on {run['machine']['cores']} CPU cores: a mean of {run['training']['stop_score']:g} over 100 games"
    return [[work, f"after {minutes:.1f} minutes", "not measured"]]
