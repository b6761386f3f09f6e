"""What bench/peers/speed.py measured, and the targets beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

NOT_OURS = {
    "torchrl": ("torchrl",),
    "tianshou": ("tianshou", "tianshou, torch 2.15"),
    "cpprb": ("cpprb", "cpprb, torch 2.15"),
    "Stable-Baselines3 (uniform)": ("stable-baselines3", "stable-baselines3, torch 2.15"),
    "sumtree (Rust)": ("sumtree",),
    "flashbax (uniform)": ("flashbax",),
    "rlox (Rust)": ("rlox",),
    "NumPy cumsum": ("numpy",),
}
OURS = ("mujigae", "mujigae, compress=True", "mujigae, prefetch=2", "mujigae, compress=True, prefetch=2")
FLOORS = ("floor, 1 thread", "floor, 2 threads")
NUM_GAMES = 12


class Results:
    """One machine's speed.json."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        self.data: dict[str, Any] = json.loads(self.text)

    @cached_property
    def rows(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """By group, operation, batch size and subject."""
        names = ("group", "operation", "batch_size", "subject")
        return {tuple(row[name] for name in names): row for row in self.data["rows"]}

    def seconds(self, group: str, operation: str, batch_size: int, subject: str) -> float | None:
        """Of one operation; None where it was not measured, or failed."""
        return self.rows.get((group, operation, batch_size, subject), {}).get("seconds")

    def library(self, group: str, operation: str, batch_size: int, name: str) -> float | None:
        """A library's seconds, beside the torch with which it is faster."""
        found = [self.seconds(group, operation, batch_size, subject) for subject in NOT_OURS[name]]
        return min((seconds for seconds in found if seconds is not None), default=None)

    def best_peer(self, group: str, operation: str, batch_size: int) -> tuple[str, float] | None:
        """The fastest of the others."""
        names = [name for name in NOT_OURS if _does_the_same(name, group, operation)]
        found = [(self.library(group, operation, batch_size, name), name) for name in names]
        known = [(seconds, name) for seconds, name in found if seconds is not None]
        return (min(known)[1], min(known)[0]) if known else None

    def bytes_each(self, subject: str, group: str = "atari", name: str = "resident_bytes") -> float | None:
        """Bytes of a transition, all included."""
        row = self.rows.get((group, "fill", 0, subject), {})
        return row[name] / row["num_rows"] if row.get("status") == "ok" and row.get(name) else None

    def why_not(self, group: str, operation: str, batch_size: int, subject: str) -> str:
        """Why a row has no number."""
        row = self.rows.get((group, operation, batch_size, subject))
        if row is None or row["status"] == "ok":  # what it would be compared with was not
            return "not measured"
        return f"{row['status']}: {first_line(row.get('reason', ''))}"

    def machine(self) -> str:
        machine = self.data["machine"]
        sets = ", ".join(machine["instruction_sets"]).upper()
        return f"{machine['cores']} cores of an {machine['processor']} ({sets})"


def _does_the_same(name: str, group: str, operation: str) -> bool:
    """NumPy's assignment is no update of a tree; rows of 17 floats are compared by priority, and uniformly, apart."""
    if operation.startswith("update"):
        return not name.startswith("NumPy")
    return group != "vector" or not name.endswith("(uniform)")


def machines(folder: Path) -> list[Results]:
    """The results of every machine, the one of which most was measured first, of these the one measured last."""
    found = [Results(path) for path in sorted(folder.glob("*/speed.json"))]
    return sorted(found, key=lambda each: (len(each.data["groups"]), each.data["measured_at"]), reverse=True)


def first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


class Outcome(NamedTuple):
    """A number, as it is shown, and what it was made of."""

    value: float
    ours: str
    other: str


class Target(NamedTuple):
    """A line of the table of targets: what is asked for, and the number to hold against it."""

    work: str
    unit: str  # "x" and "of floor" must be reached, the others not be exceeded
    target: float
    stretch: float | None
    measure: Callable[[Results], Outcome | None]
    why_not: Callable[[Results], str] = lambda results: "not measured"

    @property
    def is_ratio(self) -> bool:
        return self.unit in ("x", "of floor")

    def shown(self, value: float) -> str:
        if self.unit == "bytes":
            return f"{value:,.0f} bytes"
        return f"{value:.2f} {self.unit}" if self.unit == "of floor" else f"{value:.3g}{self.unit}"

    def verdict(self, value: float) -> str:
        """Met, or by how much not."""
        quotient = value / self.target if self.is_ratio else self.target / value
        if quotient < 1:
            return (
                f"missed: {quotient:.0%} of the target"
                if self.is_ratio
                else f"missed: {1 / quotient:.2f} times the target"
            )
        further = self.stretch is not None and (
            value >= self.stretch if self.is_ratio else value <= self.stretch
        )
        return "met, stretch too" if further else "met"


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.{1 if seconds < 1e-4 else 0}f} us"


def against_peers(group: str, operation: str, batch_size: int, ours: str = "mujigae") -> dict[str, Any]:
    """How many times the best peer's time ours is contained in."""

    def measure(results: Results) -> Outcome | None:
        own, peer = (
            results.seconds(group, operation, batch_size, ours),
            results.best_peer(group, operation, batch_size),
        )
        if own is None or peer is None:
            return None
        return Outcome(peer[1] / own, microseconds(own), f"{peer[0]} {microseconds(peer[1])}")

    return {"unit": "x", "measure": measure, "why_not": _why(group, operation, batch_size, ours)}


def against_subject(
    group: str, operation: str, batch_size: int, other: str, ours: str = "mujigae", unit: str = "x"
) -> dict[str, Any]:
    """The same against one subject, or one library."""

    def measure(results: Results) -> Outcome | None:
        own = results.seconds(group, operation, batch_size, ours)
        library = results.library if other in NOT_OURS else results.seconds
        their = library(group, operation, batch_size, other)
        if own is None or their is None:
            return None
        return Outcome(their / own, microseconds(own), f"{other} {microseconds(their)}")

    return {"unit": unit, "measure": measure, "why_not": _why(group, operation, batch_size, ours)}


def absolute(group: str, operation: str, batch_size: int, ours: str = "mujigae") -> dict[str, Any]:
    """Microseconds, beside the best peer's."""

    def measure(results: Results) -> Outcome | None:
        own, peer = (
            results.seconds(group, operation, batch_size, ours),
            results.best_peer(group, operation, batch_size),
        )
        if own is None:
            return None
        return Outcome(
            own * 1e6, microseconds(own), "-" if peer is None else f"{peer[0]} {microseconds(peer[1])}"
        )

    return {"unit": " us", "measure": measure, "why_not": _why(group, operation, batch_size, ours)}


def memory(ours: str) -> dict[str, Any]:
    """Bytes a transition, beside the least of the others."""

    def measure(results: Results) -> Outcome | None:
        own = results.bytes_each(ours)
        others = [
            (results.bytes_each(subject), name) for name, subjects in NOT_OURS.items() for subject in subjects
        ]
        least = min(((bytes_, name) for bytes_, name in others if bytes_), default=None)
        if own is None:
            return None
        return Outcome(
            own, f"{own:,.0f} bytes", "-" if least is None else f"{least[1]} {least[0]:,.0f} bytes"
        )

    return {"unit": "bytes", "measure": measure, "why_not": _why("atari", "fill", 0, ours)}


def growth(batch_size: int) -> dict[str, Any]:
    """How much slower draws are among 10^7 leaves than among 10^4."""

    def measure(results: Results) -> Outcome | None:
        small = results.seconds("tree 10^4", "draw", batch_size, "mujigae")
        large = results.seconds("tree 10^7", "draw", batch_size, "mujigae")
        if small is None or large is None:
            return None
        return Outcome(large / small, microseconds(large), f"10^4: {microseconds(small)}")

    return {"unit": " times", "measure": measure}


def _why(*key: Any) -> Callable[[Results], str]:
    return lambda results: results.why_not(*key)
