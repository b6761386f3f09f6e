"""The speed of mujigae beside that of other libraries, in one run: writes bench/results/<machine>/speed.json.

    python bench/peers/speed.py [--only NAME ...] [--source FOLDER] [--against FOLDER] [--quick] [--cache FOLDER] [--wheel FILE]

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

from bench.core import comparison
from bench.core.children import NUM_THREADS, Child, SubjectChild, source_path
from bench.core.environments import CACHE, ROOT, build_wheel, environment
from bench.core.hardware import describe, results_folder
from bench.core.speed_plan import FULL, GROUPS, QUICK, SUBJECTS, Group, Planned, Size

Results = dict[str, Any]


def main() -> int:
    arguments = parser().parse_args()
    size = QUICK if arguments.quick else FULL
    size = size._replace(visits=arguments.visits or size.visits)
    cache = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    groups, subjects = chosen(arguments.only or [])
    measured = beside(subjects, arguments.source, arguments.against)
    wheel = arguments.wheel
    if wheel is None and any(subject.source is None for subject in measured.values()):
        wheel = build_wheel(cache)
    run = Run(cache, wheel, size, measured)
    folder = cache / "quick" if arguments.quick else run.results_folder()
    path = folder / ("against.json" if arguments.against else "speed.json")
    results = run.results = begun(path, size)
    for name in groups:
        began = time.monotonic()
        rows = run.group(GROUPS[name])
        results["rows"] = merged(results["rows"], rows)
        note: dict[str, Any] = {
            "seconds": round(time.monotonic() - began),
            "load": [round(load, 1) for load in os.getloadavg()],
        }
        results["groups"][name] = note
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{name}: {note['seconds']} s, load {note['load'][0]}", flush=True)
    compared = comparison.beside_exact_adds(results["rows"]) + comparison.against(results["rows"])
    print(*compared, sep="\n")
    return 0


def chosen(only: list[str]) -> tuple[list[str], list[str]]:
    """The names of groups and of subjects that `--only` leaves; "ours" are all subjects that are mujigae."""
    wanted = {name for name in GROUPS if name in only or _kind(name) in only or name.split()[0] in only}
    ours = {name for name in SUBJECTS if SUBJECTS[name].is_ours and "ours" in only}
    named = ours | (set(only) & set(SUBJECTS))
    groups = [name for name in GROUPS if not wanted or name in wanted]
    return groups, [name for name in SUBJECTS if not named or name in named]


def _kind(group: str) -> str:
    """A group's name without its size: "add env_ids"."""
    return group.rpartition(" ")[0]


def beside(names: list[str], source: Path | None, against: Path | None) -> dict[str, Planned]:
    """The subjects of these names; ours from a source tree if one is given, and once more from the other tree."""
    subjects = {}
    for name in names:
        planned = SUBJECTS[name]
        subjects[name] = planned._replace(source=source and str(source)) if planned.is_ours else planned
        if planned.is_ours and against is not None:
            subjects[name + comparison.AGAINST] = planned._replace(source=str(against))
    return subjects


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

    def __init__(self, cache: Path, wheel: Path | None, size: Size, subjects: dict[str, Planned]) -> None:
        self.cache, self.wheel, self.size, self.subjects = cache, wheel, size, subjects
        self.results: Results = {"subjects": {}}
        self.pythons: dict[Any, Path] = {}  # of the environments so far

    def results_folder(self) -> Path:
        """This machine's, with the instruction set that mujigae uses here."""
        ours = self.subjects.get("mujigae", SUBJECTS["mujigae"])
        python = environment(self.cache, ours.packages, wheel=self.wheel)
        return results_folder(ROOT / "bench/results", python, source_path(ours.source))

    def group(self, group: Group) -> list[Results]:
        """The rows of all subjects that take part."""
        if group.needs_recording:
            self._record()
        children = {
            name: self._child(planned) for name, planned in self.subjects.items() if group.takes(planned)
        }
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
        child = self._child(self.subjects.get("mujigae", SUBJECTS["mujigae"]))
        answer = child.ask({"do": "record", "num_steps": self.size.recorded_steps}, 1200)
        child.close()
        self.results["games"] = answer.get("games", [])
        if answer["status"] != "ok":
            print(f"recording: {answer['reason']}", flush=True)

    def _child(self, planned: Planned) -> Child:
        return SubjectChild(planned, self.cache, self.wheel, self.pythons)

    def _prepared(self, children: dict[str, Child], group: Group) -> dict[str, Results]:
        """What each says of its structure; they fill them side by side."""
        for child in children.values():
            child.tell({"do": "hello"})
        hellos = {name: child.hear(600) for name, child in children.items()}
        known = {name: hello for name, hello in hellos.items() if hello["status"] == "ok"}
        for name, hello in known.items():
            self.results["subjects"][name] = {key: value for key, value in hello.items() if key != "status"}
            children[name].tell({"do": "prepare", **group.request(self.size, self.subjects[name])})
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


def source_tree(text: str) -> Path:
    """A folder that holds the package mujigae with its compiled module."""
    path = Path(text).resolve()
    if not any(path.glob("mujigae/_core*.so")):
        raise argparse.ArgumentTypeError(
            f"expected a folder with mujigae/ and its compiled module in it, got {text}"
        )
    return path


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    described.add_argument(
        "--only",
        nargs="+",
        choices=sorted({*GROUPS, *map(_kind, GROUPS), "tree", "add", "game", "ours", *SUBJECTS} - {""}),
        metavar="NAME",
        help="groups, subjects; 'ours': every subject that is mujigae",
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
    described.add_argument(
        "--source",
        type=source_tree,
        metavar="FOLDER",
        help="a python/ folder with its compiled module: mujigae from there instead of a wheel",
    )
    described.add_argument(
        "--against",
        type=source_tree,
        metavar="FOLDER",
        help="another such folder: mujigae from there as well, in turns; the results are against.json",
    )
    return described


if __name__ == "__main__":
    sys.exit(main())
