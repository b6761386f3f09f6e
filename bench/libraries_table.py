"""The table of libraries in the README, with what bench/integrations/atari.py measured where it measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Table = Callable[[list[str], list[list[Any]]], str]


class Library(NamedTuple):
    """One row: what the library is called, its page, and the line of a program that changes."""

    name: str
    page: str
    line: str
    measured: str = ""  # under which name in drop_in.json


LIBRARIES = (
    Library("Gymnasium 1.1 and newer", "gymnasium", "`envs = RecordTransitions(envs, buffer)`"),
    Library("EnvPool 1.1, 1.2, also asynchronous", "envpool", "`pool = RecordTransitions(pool, buffer)`"),
    Library(
        "Stable-Baselines3 2.9",
        "stable-baselines3",
        "`DQN(..., replay_buffer_class=ReplayBuffer)`; `HerReplayBuffer`, `Rainbow` and prioritized agents",
        "Stable-Baselines3",
    ),
    Library(
        "Tianshou 2.0",
        "tianshou",
        "`from mujigae.integrations.tianshou import PrioritizedVectorReplayBuffer`",
        "Tianshou",
    ),
    Library(
        "TorchRL 0.14",
        "torchrl",
        "`from mujigae.integrations.torchrl import FrameStorage, PrioritizedSampler`",
        "TorchRL",
    ),
    Library(
        "CleanRL", "cleanrl", "`from mujigae.integrations.cleanrl import PrioritizedReplayBuffer`", "CleanRL"
    ),
    Library("cpprb 11", "cpprb", "`from mujigae.integrations.cpprb import PrioritizedReplayBuffer`", "cpprb"),
    Library("RLlib of Ray 2.60", "rllib", "`from mujigae.integrations.rllib import DQNConfig`"),
    Library("skrl 2.1", "skrl", "`from mujigae.integrations.skrl import ReplayMemory`"),
    Library("AgileRL 2.58", "agilerl", "`from mujigae.integrations.agilerl import ReplayBuffer`"),
    Library("JAX 0.8 to 0.10", "jax", "`batch = to_jax(buffer.sample(256))`, without a copy"),
    Library("d3rlpy 2.8", "d3rlpy", "`dataset = to_d3rlpy(buffer)`"),
    Library("Minari 0.5", "minari", '`buffer = from_minari(dataset)`, `to_minari(buffer, "mine/pong-v0")`'),
)


def section(results: dict[str, Any], table: Table) -> str:
    """One row a library, then what the numbers are."""
    rows = [
        [f"[{one.name}](docs/from-{one.page}.md)", one.line, *costs(results["libraries"].get(one.measured))]
        for one in LIBRARIES
    ]
    header = ["library", "the one line", "bytes of an Atari transition", "`sample(32)`"]
    return table(header, rows) + "\n\n" + note(results)


def costs(result: dict[str, Any] | None) -> list[str]:
    """Before, after, and after with compress=True: bytes and time."""
    if result is None:
        return ["", ""]
    variants = [result[name] for name in ("theirs", "mujigae", "compressed")]
    before, after, compressed = (f"{one['bytes_per_transition']:,}" for one in variants)
    seconds = [f"{one['sample_seconds'] * 1e6:,.0f}" for one in variants]
    return [f"{before} → {after} ({compressed})", f"{seconds[0]} → {seconds[1]} ({seconds[2]}) us"]


def note(results: dict[str, Any]) -> str:
    """What was measured, and where."""
    libraries = results["libraries"].values()
    versions = results["versions"] | {name: v for one in libraries for name, v in one["versions"].items()}
    names = ", ".join(
        f"{name} {version}" for name, version in versions.items() if name not in ("python", "mujigae")
    )
    return (
        f"The library's own buffer → mujigae's in its place (with `compress=True`), filled with {results['rows']:,} steps of real Pong; "
        f"bytes that the process grew by, medians of draws in turns, {results['machine']['cores']} cores of an "
        f"{results['machine']['processor']}. A million such rows in ours are {gigabytes(results, 'mujigae')} GB "
        f"({gigabytes(results, 'compressed')}). {names}."
    )


def gigabytes(results: dict[str, Any], variant: str) -> str:
    """Of a million rows: from the least to the most among the libraries."""
    found = [one[variant]["bytes_per_transition"] / 1000 for one in results["libraries"].values()]
    return f"{min(found):.1f} to {max(found):.1f}"
