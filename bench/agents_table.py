"""What agents of other libraries learn with mujigae's buffer and with their own: bench/integrations/learning.py and hindsight.py."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean, stdev
from typing import Any

Table = Callable[[list[str], list[list[Any]]], str]


def learning(results: dict[str, Any], table: Table) -> str:
    """One row a library: the mean over its seeds, with each buffer."""
    rows = [
        [f"[{one['name']}](docs/from-{key}.md)", scores(one["mujigae"]), scores(one.get("theirs", []))]
        for key, one in results.items()
    ]
    versions = {name: version for one in results.values() for name, version in one["versions"].items()}
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "numpy")
    note = (
        "CartPole by the example of each library, seeds from 0 on, ± the standard error: the mean return of the last 20 episodes of training, for d3rlpy that of 20 "
        f"episodes played with what was learned offline. JAX has no buffer of its own. {named}."
    )
    return table(["library", "mujigae's buffer", "its own"], rows) + "\n\n" + note


def scores(runs: list[dict[str, Any]]) -> str:
    """mean ± its standard error (seeds, from the lowest to the highest)."""
    found = [run["score"] for run in runs]
    if not found:
        return ""
    error = stdev(found) / len(found) ** 0.5
    return f"{mean(found):.0f} ± {error:.0f} ({len(found)} seeds, {min(found):.0f} to {max(found):.0f})"


def hindsight(result: dict[str, Any], table: Table) -> str:
    """One row a buffer: success by steps, and bytes."""
    runs = [run for key in ("mujigae", "stable_baselines3") for run in result[key]]
    steps = sorted(set.intersection(*({one["steps"] for one in run["success"]} for run in runs)))
    rows = [
        [
            name,
            *(f"{mean(share(run, one) for run in result[key]):.0%}" for one in steps),
            f"{mean(run['bytes'] / run['rows'] for run in result[key]):.0f}",
        ]
        for key, name in (
            ("mujigae", "mujigae's HerReplayBuffer"),
            ("stable_baselines3", "Stable-Baselines3's"),
        )
    ]
    header = ["buffer", *(f"{one:,}" for one in steps), "bytes a row"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    count = len(result["mujigae"])
    seeds = "one seed" if count == 1 else f"{count} seeds"
    note = (
        f"{result['environment']}, SAC of Stable-Baselines3 with the settings of RL Baselines3 Zoo: the share of 20 episodes that end at the "
        f"goal after so many steps, the mean over {seeds}, alike for both buffers. {versions}."
    )
    return table(header, rows) + "\n\n" + note


def share(run: dict[str, Any], steps: int) -> float:
    """Of the episodes after so many steps that ended at the goal."""
    return next(float(one["share"]) for one in run["success"] if one["steps"] == steps)
