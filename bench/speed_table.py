"""The speed sections of docs/benchmarks.md, and a page with every number, out of a machine's speed.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.speed_results import (
    FLOORS,
    NOT_OURS,
    NUM_GAMES,
    OURS,
    Results,
    Target,
    absolute,
    against_peers,
    against_subject,
    first_line,
    growth,
    memory,
    microseconds,
)

COMPRESSED, PREFETCHED = "mujigae, compress=True", "mujigae, prefetch=2"
FLOOR_1, FLOOR_2 = FLOORS


def _of(work: str, target: float, stretch: float | None, how: dict[str, Any]) -> Target:
    return Target(
        work, how["unit"], target, stretch, *(how[name] for name in ("measure", "why_not") if name in how)
    )


TARGETS = [
    _of("tree draw, N = 2^20, B = 32", 7, 10, against_peers("tree 2^20", "draw", 32)),
    _of("tree draw, N = 2^20, B = 256", 7, 10, against_peers("tree 2^20", "draw", 256)),
    _of("tree draw, N = 2^20, B = 2048", 5, 8, against_peers("tree 2^20", "draw", 2048)),
    _of("tree draw, N = 10^7, B = 256", 5, 8, against_peers("tree 10^7", "draw", 256)),
    _of("tree draw, N = 10^7, B = 2048", 4, 6, against_peers("tree 10^7", "draw", 2048)),
    _of("tree draw, B = 256, growth from 10^4 to 10^7 rows", 4, 2.5, growth(256)),
    _of("tree update of leaves just drawn, N = 2^20, B = 32", 1.3, 2, against_peers("tree 2^20", "update drawn", 32)),
    _of("tree update of leaves just drawn, N = 2^20, B = 256", 1.3, 2, against_peers("tree 2^20", "update drawn", 256)),
    _of("tree update of leaves just drawn, N = 2^20, B = 2048", 1.3, 2, against_peers("tree 2^20", "update drawn", 2048)),
    _of("tree update of random leaves, N = 2^20, B = 32", 1.3, 2, against_peers("tree 2^20", "update", 32)),
    _of("tree update of random leaves, N = 2^20, B = 256", 2, 4, against_peers("tree 2^20", "update", 256)),
    _of("tree update of random leaves, N = 2^20, B = 2048", 2, 4, against_peers("tree 2^20", "update", 2048)),
    _of("Atari cycle, B = 32", 2.5, None, against_subject("atari", "cycle", 32, "cpprb")),
    _of("Atari cycle, B = 256", 3.5, None, against_subject("atari", "cycle", 256, "cpprb")),
    _of("Atari cycle, B = 32, efficiency", 0.85, 0.95, against_subject("atari", "cycle", 32, FLOOR_1, unit="of floor")),
    _of("Atari cycle, B = 256, efficiency", 0.85, 0.95, against_subject("atari", "cycle", 256, FLOOR_2, unit="of floor")),
    _of("Atari, B = 32, `sample` with `prefetch` beside training", 20, None, absolute("atari", "wait", 32, PREFETCHED)),
    _of("Atari cycle, B = 32, `compress=True`", 1, None, against_peers("atari", "cycle", 32, COMPRESSED)),
    _of("Atari cycle, B = 256, `compress=True`", 1, None, against_peers("atari", "cycle", 256, COMPRESSED)),
    _of("Atari cycle, B = 32, `compress=True` against none", 1, None, against_subject("atari", "cycle", 32, "mujigae", COMPRESSED)),
    _of("Atari memory, a transition", 7200, None, memory("mujigae")),
    _of("Atari memory, a transition, `compress=True`, 12 games", 600, 400, memory(COMPRESSED)),
    _of("Atari add, one environment, a step", 6, None, absolute("add 1", "add", 64)),
    _of("Atari add, eight environments, a step", 4, None, absolute("add 8", "add", 64)),
    _of("Atari add, one, `validate=False`", 3, None, absolute("add 1", "add", 64, "mujigae, validate=False")),
    _of("Atari add, eight, `validate=False`", 1.5, None, absolute("add 8", "add", 64, "mujigae, validate=False")),
    _of("Atari add, one, `compress=True`", 10, None, absolute("add 1", "add", 64, COMPRESSED)),
    _of("Atari add, eight, `compress=True`", 10, None, absolute("add 8", "add", 64, COMPRESSED)),
    _of("17-float cycle, 1M rows, prioritized, B = 32", 6, 10, against_peers("vector", "cycle", 32)),
    _of("17-float cycle, 1M rows, prioritized, B = 256", 6, 10, against_peers("vector", "cycle", 256)),
    _of("17-float cycle, 1M rows, prioritized, B = 2048", 6, 10, against_peers("vector", "cycle", 2048)),
    _of("17 floats, 1M rows, prioritized draws, B = 2048, efficiency", 0.5, 0.65, against_subject("vector", "sample", 2048, FLOOR_1, unit="of floor")),
    _of("17 floats, 1M rows, uniform, B = 32", 4, 6, against_peers("vector uniform", "sample", 32)),
    _of("17 floats, 1M rows, uniform, B = 256", 4, 6, against_peers("vector uniform", "sample", 256)),
    _of("17 floats, 1M rows, uniform, B = 2048", 4, 6, against_peers("vector uniform", "sample", 2048)),
    _of("17 floats, 1M rows, uniform, B = 2048, efficiency", 0.75, 0.9, against_subject("vector uniform", "sample", 2048, FLOOR_1, unit="of floor")),
    _of("sequences of 40 after a burn-in of 20, 17 floats, 1M rows, B = 64", 3, 5, against_peers("sequences", "sample", 64)),
    _of("uniform sample into `out=`, 4 floats, B = 32", 1, 2, against_subject("uniform", "sample", 32, "rlox (Rust)")),
    _of("uniform sample into `out=`, 4 floats, B = 256", 1, 2, against_subject("uniform", "sample", 256, "rlox (Rust)")),
]  # fmt: skip
STRETCH_ONLY = {
    "Atari, B = 32, `sample` with `prefetch` beside training",
    "Atari cycle, B = 32, `compress=True` against none",
}


HEADER = ["work", "result", "target", "stretch", "", "mujigae", "beside"]


def targets_table(results: Results, others: Sequence[Results] = ()) -> list[list[str]]:
    """Header and a row for each target, but for those that `others` have and these results lack."""
    return [HEADER, *(_row(target, results) for target in _targets(results, others))]


def measured_elsewhere(results: Results, other: Results) -> list[list[str]]:
    """Header and the rows that `targets_table` leaves out for another machine; without any, nothing."""
    left_out = [target for target in TARGETS if target not in _targets(results, [other])]
    return [HEADER, *(_row(target, other) for target in left_out)] if left_out else []


def _targets(results: Results, others: Sequence[Results]) -> list[Target]:
    def is_elsewhere(target: Target) -> bool:
        return target.measure(results) is None and any(target.measure(other) is not None for other in others)

    return [target for target in TARGETS if not is_elsewhere(target)]


def _row(target: Target, results: Results) -> list[str]:
    outcome = target.measure(results)
    asked = target.shown(target.target)
    stretch = "" if target.stretch is None else target.shown(target.stretch)
    if target.work in STRETCH_ONLY:
        asked, stretch = "", asked
    if outcome is None:
        return [target.work, "-", asked, stretch, target.why_not(results), "-", "-"]
    verdict = target.verdict(outcome.value)
    if verdict.startswith("missed"):
        verdict += f"; [tried]({tried_for(target.work)})"
    return [target.work, target.shown(outcome.value), asked, stretch, verdict, outcome.ours, outcome.other]


def tried_for(work: str) -> str:
    """The section of bench/README.md on a piece of work, as seen from the root."""
    if work.startswith("tree"):
        section = "the-sum-tree"
    else:
        section = "compressed-frames" if "compress" in work else "adding-and-sampling"
    return f"bench/README.md#what-was-tried-for-{section}"


def summary(results: Results, others: Sequence[Results] = ()) -> str:
    """What the table says, in one sentence."""
    outcomes = [
        (target, target.measure(results))
        for target in _targets(results, others)
        if target.work not in STRETCH_ONLY
    ]
    num_met = sum(
        outcome is not None and target.verdict(outcome.value).startswith("met")
        for target, outcome in outcomes
    )
    return f"{num_met} of {len(outcomes)} targets met"


def note(results: Results) -> str:
    """Where, when, beside what and how."""
    protocol = results.data["protocol"]
    load = max((group["load"][0] for group in results.data["groups"].values()), default=0.0)
    return (
        f"{conditions(results)} `x`: the best peer's time over mujigae's, in one run of {protocol['visits']} interleaved visits "
        f"(load up to {load:g})."
    )


def conditions(results: Results) -> str:
    """Where, when and beside what."""
    subjects = results.data["subjects"]
    peers = sorted(
        {
            f"{told['name'].partition(' (')[0]} {told['version']}"
            for name, told in subjects.items()
            if not name.startswith(("mujigae", "floor"))
        }
    )
    return (
        f"Machine: {results.machine()}, {results.data['measured_at']}; beside {', '.join(peers)}, each with the torch with which it is "
        "faster."
    )


def page(results: Results, table: Any) -> str:
    """Every number of a machine."""
    parts = [
        f"# Speed on {results.machine()}",
        "Written by bench/report.py from [speed.json](speed.json), which bench/peers/speed.py writes. Microseconds an operation: "
        "the median of the best of several visits, and in brackets how much longer the worst visit took.",
        note(results),
        *(_group(results, group, table) for group in _groups(results)),
        "## Bytes of an Atari transition",
        _memory(results, table),
        "## By game, `compress=True`, as the buffer counts them",
        _games(results, table),
        "## What is missing",
        _missing(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _groups(results: Results) -> list[str]:
    names = dict.fromkeys(row["group"] for row in results.data["rows"] if row["operation"] != "fill")
    return list(names)


def _group(results: Results, group: str, table: Any) -> str:
    rows = [row for row in results.data["rows"] if row["group"] == group and row["operation"] != "fill"]
    subjects = list(dict.fromkeys(row["subject"] for row in rows if row["status"] == "ok"))
    works = list(dict.fromkeys((row["operation"], row["batch_size"]) for row in rows))
    lines = [
        [
            f"{operation} {size}",
            *(_cell(results.rows.get((group, operation, size, name))) for name in subjects),
        ]
        for operation, size in works
    ]
    return f"## {group}\n\n" + str(table(["", *subjects], lines))


def _cell(row: dict[str, Any] | None) -> str:
    if row is None or row["status"] != "ok":
        return "-"
    return f"{microseconds(row['seconds']).removesuffix(' us')} (+{row['spread']:.0%})"


def _memory(results: Results, table: Any) -> str:
    names = [*OURS, *(subject for subjects in NOT_OURS.values() for subject in subjects)]
    known = [(name, bytes_) for name in names if (bytes_ := results.bytes_each(name)) is not None]
    return str(table(["", "bytes"], [[name, f"{bytes_:,.0f}"] for name, bytes_ in known]))


def _games(results: Results, table: Any) -> str:
    games = results.data.get("games", [])
    each = [results.bytes_each(COMPRESSED, f"game {game}", "counted_bytes") for game in range(NUM_GAMES)]
    lines = [
        [name, f"{bytes_:,.0f}"] for name, bytes_ in zip(games, each, strict=False) if bytes_ is not None
    ]
    return str(table(["game", "bytes"], lines)) if lines else "Not measured."


def _missing(results: Results) -> str:
    reasons: dict[str, list[str]] = {}
    for row in results.data["rows"]:
        if row["status"] != "ok":
            told = f"{row['subject']}: {row['status']}: {first_line(row['reason'])}"
            reasons.setdefault(told, []).append(f"{row['group']} {row['operation']} {row['batch_size']}")
    return "\n".join(f"* {told} ({', '.join(works)})" for told, works in reasons.items()) or "Nothing."
