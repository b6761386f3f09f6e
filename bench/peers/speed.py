"""The speed of mujigae beside that of other libraries, in one run: writes bench/results/<machine>/speed.json.

    python bench/peers/speed.py [--only NAME ...] [--quick] [--cache FOLDER] [--wheel FILE]

Every subject is a child process in an environment of its own. All children of a group hold their filled structures at the same
time and are visited in turn, several times over; see bench/README.md. What fails leaves a row that says so. Results are written
after each group, and rows that are not measured again stay.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder, whose files have names of libraries.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.core.children import NUM_THREADS, Child, SubjectChild
from bench.core.environments import CACHE, ROOT, build_wheel
from bench.core.hardware import describe, machine_name
from bench.core.speed_plan import FULL, GROUPS, QUICK, SUBJECTS, Group, Size

Results = dict[str, Any]


def main() -> int:
    arguments = parser().parse_args()
    size = QUICK if arguments.quick else FULL
    size = size._replace(visits=arguments.visits or size.visits)
    cache = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    only = set(arguments.only or [])
    wanted = {name for name in GROUPS if name in only or name.split()[0] in only}
    groups = [name for name in GROUPS if not wanted or name in wanted]
    subjects = [name for name in SUBJECTS if not only & set(SUBJECTS) or name in only]
    wheel = arguments.wheel or build_wheel(cache)
    folder = cache / "quick" if arguments.quick else ROOT / "bench/results" / machine_name()
    path = folder / "speed.json"
    results = begun(path, size)
    run = Run(cache, wheel, size, results)
    for name in groups:
        began = time.monotonic()
        rows = run.group(GROUPS[name], subjects)
        results["rows"] = merged(results["rows"], rows)
        note: dict[str, Any] = {
            "seconds": round(time.monotonic() - began),
            "load": [round(load, 1) for load in os.getloadavg()],
        }
        results["groups"][name] = note
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{name}: {note['seconds']} s, load {note['load'][0]}", flush=True)
    return 0


def begun(path: Path, size: Size) -> Results:
    """The results so far, or none; the machine and the protocol as they are now."""
    old = json.loads(path.read_text()) if path.exists() else {}
    return {
        "machine": describe(),
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "protocol": size._asdict(),
        "groups": old.get("groups", {}),
        "subjects": old.get("subjects", {}),
        "rows": old.get("rows", []),
    }


def merged(old: list[Results], new: list[Results]) -> list[Results]:
    """New rows in the place of old ones of the same subject, operation and size."""
    rows = {row_key(row): row for row in old} | {row_key(row): row for row in new}
    return list(rows.values())


def row_key(row: Results) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("group", "operation", "batch_size", "subject"))


class Run:
    """The measurement of one group after another."""

    def __init__(self, cache: Path, wheel: Path, size: Size, results: Results) -> None:
        self.cache, self.wheel, self.size, self.results = cache, wheel, size, results
        self.pythons: dict[Any, Path] = {}  # of the environments so far

    def group(self, group: Group, names: list[str]) -> list[Results]:
        """The rows of all subjects that take part."""
        if group.needs_recording:
            self._record()
        children = {name: self._child(name) for name in names if group.takes(SUBJECTS[name])}
        try:
            prepared = self._prepared(children, group)
            ready = [name for name, answer in prepared.items() if answer["status"] == "ok"]
            rows = []
            for operation, batch_size in group.operations:
                visits = self._visits({name: children[name] for name in ready}, operation, batch_size)
                for name, answer in prepared.items():
                    row = {
                        "group": group.name,
                        "operation": operation,
                        "batch_size": batch_size,
                        "subject": name,
                    }
                    rows.append(row | (summary(visits[name]) if name in visits else answer))
            memory = {"group": group.name, "operation": "fill", "batch_size": 0}
            fills = [
                memory | {"subject": name, **answer}
                for name, answer in prepared.items()
                if not name.startswith("floor")
            ]
            return rows + (fills if group.tells_memory else [])
        finally:
            for child in children.values():
                child.close()

    def _record(self) -> None:
        child = self._child("mujigae")
        answer = child.ask({"do": "record", "num_steps": self.size.recorded_steps}, 1200)
        child.close()
        self.results["games"] = answer.get("games", [])
        if answer["status"] != "ok":
            print(f"recording: {answer['reason']}", flush=True)

    def _child(self, name: str) -> Child:
        return SubjectChild(SUBJECTS[name], self.cache, self.wheel, self.pythons)

    def _prepared(self, children: dict[str, Child], group: Group) -> dict[str, Results]:
        """What each says of its structure; they fill them side by side."""
        for child in children.values():
            child.tell({"do": "hello"})
        hellos = {name: child.hear(600) for name, child in children.items()}
        known = {name: hello for name, hello in hellos.items() if hello["status"] == "ok"}
        for name, hello in known.items():
            self.results["subjects"][name] = {key: value for key, value in hello.items() if key != "status"}
            children[name].tell({"do": "prepare", **group.request(self.size, SUBJECTS[name])})
        answers = {name: children[name].hear(900) if name in known else hellos[name] for name in children}
        for name, answer in answers.items():
            if answer["status"] != "ok":
                print(f"  {group.name}, {name}: {answer['status']}, {answer['reason']}", flush=True)
        return answers

    def _visits(
        self, children: dict[str, Child], operation: str, batch_size: int
    ) -> dict[str, list[Results]]:
        """What each subject answered, in interleaved visits. Who fails is not visited again for this operation."""
        visits: dict[str, list[Results]] = {name: [] for name in children}
        request = {
            "do": "time",
            "operation": operation,
            "batch_size": batch_size,
            "seconds": self.size.seconds,
        }
        for turn in range(self.size.visits):
            threads = (1, NUM_THREADS)[turn % 2]  # torch's; which is faster depends on the batch
            order = (
                list(children)[turn % max(1, len(children)) :]
                + list(children)[: turn % max(1, len(children))]
            )
            for name in order:
                if not visits[name] or visits[name][-1]["status"] == "ok":
                    visits[name].append(children[name].ask(request | {"num_threads": threads}, 300))
        return visits


def summary(visits: list[Results]) -> Results:
    """One row: the median of the best visit, and how far the visits lie apart."""
    last = visits[-1]
    if last["status"] != "ok":
        return last
    medians = [visit["median"] for visit in visits]
    best = min(visits, key=lambda visit: visit["median"])
    return {
        "status": "ok",
        "seconds": best["median"],
        "torch_threads": best["num_threads"],
        "spread": round(max(medians) / min(medians) - 1, 3),
        "fastest_seconds": min(visit["fastest"] for visit in visits),
        "visits": medians,
        "rounds": sum(visit["rounds"] for visit in visits),
        "operations_per_round": last["times"],
    }


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    described.add_argument(
        "--only",
        nargs="+",
        choices=[*GROUPS, "tree", "add", "game", *SUBJECTS],
        metavar="NAME",
        help="groups, subjects",
    )
    described.add_argument(
        "--quick",
        action="store_true",
        help="small buffers, short visits, results into the cache: does it all work?",
    )
    described.add_argument(
        "--visits", type=int, help=f"of each subject and operation; {FULL.visits} when left out"
    )
    described.add_argument("--cache", type=Path, default=CACHE, help="for environments and recorded frames")
    described.add_argument("--wheel", type=Path, help="of mujigae; built when left out")
    return described


if __name__ == "__main__":
    sys.exit(main())
