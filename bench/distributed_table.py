"""The words of docs/clusters.md on what bench/distributed/ measured, and what larger clusters need by that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Table = Callable[[list[str], list[list[Any]]], str]

ROWS_OF_ACTOR, UPDATES, BATCH_SIZE = 100.0, 20.0, 512  # a second
ACTORS, SHARDS = (10, 100, 1000), (1, 2, 4, 8, 16)


def newest(folder: Path, name: str) -> dict[str, Any] | None:
    """The results of one measurement, of any machine."""
    found: list[dict[str, Any]] = [
        json.loads(path.read_text()) for path in sorted(folder.glob(f"*/{name}.json"))
    ]
    return found[-1] if found else None


def kills(folder: Path) -> str:
    """A sentence for each carrier that was measured."""
    names = "distributed_kills_processes", "distributed_kills"
    found = [results for name in names if (results := newest(folder, name)) is not None]
    if not found:
        return "Not measured yet: `python bench/distributed/kills.py`."
    return "\n\n".join(kills_of(results) for results in found)


def kills_of(results: dict[str, Any]) -> str:
    totals = results["totals"]
    waits = sorted(kill["seconds_until_training"] for kill in results["kills"])
    carrier = "Processes of one machine" if results["workers"] == "processes" else "Ray"
    return (
        f"{carrier}: {totals['kills_of_actors']} SIGKILLs of actors, {totals['kills_of_shards']} of shards and {totals['kills_of_learners']} of the learner in one run "
        f"([`kills.py`](bench/distributed/kills.py), {machine(results)}): training went on after each, after {waits[len(waits) // 2]:.1f} seconds in the median. "
        f"Of {totals['rows']:,} rows {totals['missing']} are missing, {totals['twice']} are there twice, {totals['wrong_priorities']} have a priority of another "
        f"row; {totals['flushed_rows_lost']} flushed rows were lost; {totals['processes_left']} processes and {totals['shared_memory_segments_left']} segments "
        "of shared memory were left."
    )


SERVING = {
    "local": "a buffer in the learner's process",
    "processes": "a shard in a process of the learner's machine",
    "ray": "a shard of Ray on the learner's machine",
    "ray_stored": "a shard of Ray through the object store, as from another machine",
}


def serving(results: dict[str, Any] | None, table: Table) -> str:
    if results is None:
        return "Not measured yet: `python bench/distributed/serving.py`."
    rows = []
    for side, name in SERVING.items():
        parts = results["parts"].get(side.partition("_")[0], {})
        calls = (parts.get("call_seconds"), parts.get("call_seconds_many_at_once"))
        rate, share = median(results["rows_per_second"][side]), results["share_of_local"][side]
        shown = [f"{1e6 * seconds:,.0f}" if seconds is not None else "" for seconds in calls]
        rows.append([name, f"{rate:,.0f}", f"{share:.0%}", *shown])
    header = [
        "batches from",
        "rows a second",
        "of the local buffer",
        "µs a call",
        "µs a call of many at once",
    ]
    ray = results["parts"]["ray"]
    note = (
        f"Batches of {results['batch_size']}, stacks of four 84x84 frames ({ray['batch_bytes'] / 1e6:.1f} MB; the copy of one into the object store takes "
        f"{1e3 * ray['put_seconds']:.1f} ms); median of {len(results['rows_per_second']['local'])} rounds by turns, {machine(results)}. 80% of the local buffer is the target."
    )
    return f"{table(header, rows)}\n\n{note}"


def ratio(results: dict[str, Any] | None, table: Table) -> str:
    if results is None:
        return "Not measured yet: `python bench/distributed/ratio.py`."
    rows = [
        [
            name,
            f"{case['samples_per_insert']:.3f}",
            f"{case['off_by']:+.1%}",
            f"{case['learner_waits']:.1%}",
            f"{case['actors_wait']:.1%}",
        ]
        for name, case in results["cases"].items()
    ]
    header = [
        f"two actors, one shard, processes of one machine; asked: {results['asked']:g}",
        "samples per insert",
        "off by",
        "learner waits",
        "actors wait",
    ]
    return table(header, rows)


LEARNED = {
    "distributed_learning": "CartPole-v1, `dqn --prioritized`",
    "distributed_pong": "ALE/Pong-v5, `pong`",
}


def learning(folder: Path, table: Table) -> str:
    """A table for each task that was learned by one process and by actors."""
    found = {title: newest(folder, name) for name, title in LEARNED.items()}
    tables = [learning_of(title, results, table) for title, results in found.items() if results is not None]
    return "\n\n".join(tables) or "Not measured yet: `python bench/distributed/learning.py`."


def learning_of(title: str, results: dict[str, Any], table: Table) -> str:
    rows = [
        [
            run["workers"],
            run["seed"],
            f"{run['updates']:,}",
            f"{run['best_score']:.1f} ± {run['best_standard_error']:.1f}",
            f"{run['second_half_score']:.{0 if run['second_half_score'] >= 100 else 1}f}",
            f"{run['mean_score']:.1f} ± {run['standard_error']:.1f}",
        ]
        for run in results["runs"]
    ]
    first = results["runs"][0]
    header = [
        title,
        "seed",
        "updates",
        f"best network, {first['games']} games",
        f"all checkpoints of the second half, {first['games_of_a_checkpoint']} games each",
        f"last network, {first['games']} games",
    ]
    return table(header, rows)


def sizing(results: dict[str, Any] | None, table: Table) -> str:
    """By the rates of one shard and one core: what a number of actors sends, and how busy so many shards are."""
    if results is None:
        return "Not measured yet: `python bench/distributed/serving.py`."
    ray = results["parts"]["ray"]
    adds, serves = ray["added_rows_per_second"], median(results["rows_per_second"]["ray_stored"])
    rows = []
    for actors in ACTORS:
        sent = actors * ROWS_OF_ACTOR
        busy = {k: (sent / adds + UPDATES * BATCH_SIZE / serves) / k for k in SHARDS}
        enough = next((str(k) for k in SHARDS if busy[k] <= 0.7), f"more than {SHARDS[-1]}")
        raw, once = sent * results["raw_bytes_of_a_row"] / 1e6, sent * ray["chunk_bytes_of_a_row"] / 1e6
        calls = sent / results["chunk_rows"] + UPDATES * (1 + 1 / results.get("batches_of_a_call", 1))
        shares = (f"{busy[k]:.0%}" if busy[k] <= 1 else "over" for k in SHARDS)
        rows.append(
            [f"{actors:,}", f"{sent:,.0f}", f"{raw:,.0f}", f"{once:,.1f}", f"{calls:,.0f}", *shares, enough]
        )
    header = [
        "actors",
        "rows/s",
        "MB/s raw",
        "MB/s frames once",
        "calls/s",
        *(f"{k} shards busy" if k > 1 else "1 shard busy" for k in SHARDS),
        "shards needed",
    ]
    note = (
        f"Assumed: {ROWS_OF_ACTOR:g} rows a second of each actor, {UPDATES:g} updates a second of {BATCH_SIZE} rows, a core for each shard, and a network that carries it. "
        f"Measured: {adds:,.0f} rows a second that a shard adds, {serves:,.0f} that it serves to another machine, {ray['chunk_bytes_of_a_row']:,.0f} bytes of a row in a chunk "
        f"({results['raw_bytes_of_a_row']:,} raw), chunks of {results['chunk_rows']} rows. Needed: the fewest shards that are busy for 70% of the time at most."
    )
    return f"{table(header, rows)}\n\n{note}"


def model(results: dict[str, Any] | None, table: Table) -> str:
    if results is None:
        return "Not measured yet: `python bench/distributed/model.py`."
    rows = []
    for name, case in results["cases"].items():
        ratio, parts = case["samples_per_insert"], case["seconds_a_row"]
        shares = [parts[part] for part in ("actor", "wire", "shard")]
        shares += [ratio * parts[part] for part in ("draw", "learn")]
        rows.append(
            [
                f"`{name}`",
                f"{ratio:g}",
                *(f"{1e6 * seconds:,.1f}" for seconds in shares),
                f"{case['predicted_rows_per_second']:,.0f} ({case['limited_by']})",
                f"{case['observed_rows_per_second']:,.0f} ({case['observed_of_predicted']:.0%})",
            ]
        )
    header = ["run", "samples per insert", "µs a row: actor", "on its way", "shard", "draws", "updates"]
    header += ["rows/s by the model (limited by)", "rows/s seen"]
    note = f"{results['actors']} actors and {results['shards']} shard on {machine(results)}, timed by [`model.py`](bench/distributed/model.py). "
    note += "It leaves out what the learner does between two updates, and that processes share caches and memory, so it is an upper limit."
    return f"{table(header, rows)}\n\n{note}"


def many_shards(folder: Path) -> str:
    """A paragraph for each machine."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/distributed_many_shards.json"))]
    return (
        "\n\n".join(map(many_shards_of, found))
        or "Not measured yet: `python bench/distributed/many_shards.py`."
    )


def many_shards_of(results: dict[str, Any]) -> str:
    alone, one, many = (
        median([each["drawn"] for each in results[side]]) for side in ("alone", "one", "many")
    )
    return (
        f"The engine alone, {results['shards']} shards of {results['rows_of_each']:,} compressed rows in one process ([`many_shards.py`](bench/distributed/many_shards.py), "
        f"{results['bytes_of_a_row']:,.0f} bytes a row, {results['most_memory_bytes'] / 2**30:.1f} GiB in all): {many:,.0f} rows a second drawn from all of them, and "
        f"{one:,.0f} from one of them ({results['share_of_one']:.0%}, median of {len(results['many'])} rounds by turns, batches of {results['batch_size']}, {machine(results)}); "
        f"{alone:,.0f} before the others were there. 80% is the target."
    )


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def machine(results: dict[str, Any]) -> str:
    found = results["machine"]
    return f"{found['cores']} cores of an {found['processor']}"
