"""The words of docs/benchmarks.md on memory, on the disk, and on the share of a training step that the buffer takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Table = Callable[[list[str], list[list[Any]]], str]


def memory(folder: Path) -> str:
    cost = json.loads((folder / "memory.json").read_text())
    return (
        f"A million Atari transitions (84x84, stacks of 4, n = 3, prioritized, episodes of 500 steps) make a process grow by "
        f"{cost['resident_bytes'] / 1e9:.2f} GB: {cost['resident_bytes_per_transition']:,} bytes each, 7,056 of them the frame."
    )


def stable_baselines3(folder: Path) -> str:
    cost = json.loads((folder / "stable_baselines3_memory.json").read_text())
    ours, theirs = cost["mujigae"], cost["stable_baselines3"]
    return (
        f"A million transitions of real Pong make a process with Stable-Baselines3 {cost['versions']['stable-baselines3']}'s DQN "
        f"grow by {ours['million_resident_bytes'] / 1e9:.2f} GB with this buffer, and by {theirs['million_resident_bytes'] / 1e9:.2f} GB with its own "
        f"({cost['num_transitions']:,} measured, then scaled)."
    )


def snapshots(folder: Path, table: Table) -> str:
    """Saving and loading beside `dd`, on every machine where they were measured."""
    rows = [row for path in sorted(folder.glob("*/snapshots.json")) for row in snapshot_rows(path)]
    if not rows:
        return "Not measured yet: `python bench/core/snapshots.py`."
    header = ["a million Atari rows", "seconds", "`dd`, seconds", "of its rate", "target", ""]
    return table(header, rows)


def snapshot_rows(path: Path) -> list[list[str]]:
    result, target = json.loads(path.read_text()), 0.8
    seconds, rows = result["seconds"], []
    for name, beside in (("save", "dd_write"), ("load", "dd_read")):
        share = seconds[beside] / seconds[name]
        what = f"{name}, {result['bytes'] / 1e9:.2f} GB, {result['machine']['processor']}"
        verdict = "met" if share >= target else f"missed: {share / target:.0%} of the target"
        rows.append(
            [what, f"{seconds[name]:.1f}", f"{seconds[beside]:.1f}", f"{share:.0%}", f"{target:.0%}", verdict]
        )
    return rows


def sac_share(folder: Path) -> str:
    """A sentence for each machine."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/sac_share.json"))]
    return (
        "\n\n".join(map(sac_share_of, found)) or "Not measured yet: `python bench/integrations/sac_share.py`."
    )


def sac_share_of(result: dict[str, Any]) -> str:
    plain, ahead, theirs = (result[name] for name in ("mujigae", "mujigae, prefetch=2", "stable_baselines3"))
    verdict = "met" if min(share(plain), share(ahead)) < share(theirs) / 2 else "missed"
    return (
        f"A training step of SAC of Stable-Baselines3 {result['versions']['stable-baselines3']} at the size of HalfCheetah "
        f"({result['rows']:,} rows, batches of {result['batch_size']}) spends {of_a_step(plain)} in this buffer, "
        f"{of_a_step(ahead)} with `prefetch=2`, and {of_a_step(theirs)} in its own; target: less than half of its share, "
        f"{verdict} ({result['machine']['processor']}, one thread of torch)."
    )


def share(each: dict[str, float]) -> float:
    return each["buffer_seconds"] / each["step_seconds"]


def of_a_step(each: dict[str, float]) -> str:
    return f"{each['buffer_seconds'] * 1e6:.0f} us of {each['step_seconds'] * 1e6:,.0f} ({share(each):.1%})"
