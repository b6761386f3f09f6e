"""The words of docs/benchmarks.md on what bench/train/rates.py measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET = 6.0  # times CleanRL's agent steps a second

Table = Callable[[list[str], list[list[Any]]], str]
Results = dict[str, Any]


def newest(folder: Path) -> Results | None:
    """The rates that were measured last, of any machine."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/rates.json"))]
    return max(found, key=lambda results: results["measured_at"], default=None)


def section(results: Results | None, table: Table) -> str:
    """Side by side, then switch by switch."""
    if results is None:
        return "Not measured yet: `python bench/train/rates.py`."
    peers, steps = (rows_of(results, group) for group in ("peers", "ablation"))
    ours, nothing = (rate_of(rows, name) for rows, name in ((peers, "mujigae"), (steps, "nothing")))
    beside = [
        [label(results, row), told(row), quotient(ours, None if row["subject"] == "mujigae" else rate(row))]
        for row in peers
    ]
    added = [[row["subject"], told(row), quotient(rate(row), nothing)] for row in steps]
    return "\n\n".join(
        [
            note(results),
            table(["trainer", "agent steps/s", "mujigae is faster by"], beside),
            verdict(peers),
            table(["mujigae, switches added one by one", "agent steps/s", 'of "nothing"'], added),
        ]
    )


def rows_of(results: Results, group: str) -> list[Results]:
    return [row for row in results["rows"] if row["group"] == group]


def rate(row: Results) -> float | None:
    """Agent steps a second; None where there is no number."""
    value: float | None = row.get("steps_per_second")
    return value


def rate_of(rows: list[Results], subject: str) -> float | None:
    return next((rate(row) for row in rows if row["subject"] == subject), None)


def told(row: Results) -> str:
    """The rate, or why there is none."""
    if row["status"] == "ok":
        return (
            f"{row['steps_per_second']:.0f}"
            if row["steps_per_second"] >= 10
            else f"{row['steps_per_second']:.1f}"
        )
    return row["reason"] if row["status"] == "not offered" else f"failed: {row['reason']}"


def quotient(above: float | None, below: float | None) -> str:
    return "" if above is None or below is None else f"{above / below:.2f} x"


def label(results: Results, row: Results) -> str:
    subject = results["subjects"].get(row["subject"])
    if subject is None:
        return str(row["subject"])
    switches = " ".join(f"{name}={value}" for name, value in row["switches"].items())
    return f"{subject['name']} {subject['version']}" + (f" ({switches})" if switches else "")


def note(results: Results) -> str:
    """How it was measured, in two sentences."""
    machine, protocol = results["machine"], results["protocol"]
    loads = ", ".join(f"{group['load'][0]:.1f}" for group in results["groups"].values())
    return (
        f"Training on real Pong at 84x84, batch {protocol['batch_size']}, one update in {protocol['steps_per_update']} steps, "
        f"{protocol['torch_threads']} torch threads, {machine['cores']} cores of an {machine['processor']}, "
        f"{results['measured_at']}: each one's own loop, in {protocol['peer_visits']} interleaved visits of "
        f"{protocol['peer_seconds']:.0f} s ({protocol['ablation_visits']} of {protocol['ablation_seconds']:.0f} s for the "
        f"switches), the best of them; load {loads} after each part."
    )


def verdict(peers: list[Results]) -> str:
    """The target, met or missed by how much."""
    ours, theirs = rate_of(peers, "mujigae"), rate_of(peers, "CleanRL")
    if ours is None or theirs is None:
        return f"Target: {TARGET:g} times CleanRL's Rainbow; not measured."
    reached = ours / theirs
    outcome = "met" if reached >= TARGET else f"missed by {1 - reached / TARGET:.0%}"
    return f"Target: {TARGET:g} times CleanRL's Rainbow; {reached:.2f} times, {outcome}."
