"""How fast Rainbow trains beside other libraries, and what each switch adds: writes bench/results/<machine>/rates.json.

    python bench/train/rates.py [--only NAME ...] [--quick] [--cache FOLDER] [--cleanrl FILE]

Real Pong at 84 x 84, stacks of four, batch 32, one update in four steps, two torch threads for everybody. Each trainer is a child
process that runs its library's own training loop and is let on in interleaved visits; see bench/README.md. mujigae runs in the
Python of this script, the others in environments of their own. What fails leaves a row that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.core.children import Child
from bench.core.cleanrl_script import cleanrl
from bench.core.environments import CACHE, ROOT, build_wheel, environment
from bench.core.hardware import describe, results_folder
from bench.train.rates_plan import BEST, CAPACITY, FULL, GROUPS, QUICK, SEED, Size, Trainer

NUM_THREADS = 2
STEPS_PER_UPDATE = 4
Results = dict[str, Any]


class Files(NamedTuple):
    """The folder of environments, CleanRL's script (None: fetched), and the wheel of mujigae, whose suite the adapters import."""

    cache: Path
    cleanrl: Path | None
    wheel: Path | None


class TrainerChild(Child):
    """bench/core/training_worker.py with one adapter."""

    def __init__(self, trainer: Trainer, size: Size, files: Files) -> None:
        super().__init__()
        cache = files.cache
        try:
            variables = {
                "OMP_NUM_THREADS": str(NUM_THREADS),
                "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
            }
            if trainer.adapter.startswith("bench.peers.cleanrl:"):
                variables |= cleanrl(cache, files.cleanrl)
            if trainer.packages:
                python = environment(cache, trainer.packages, trainer.bare, files.wheel)
            else:
                python = Path(sys.executable)
                variables["PYTHONPATH"] = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
            common = {"seed": SEED, "learning_starts": size.learning_starts, "capacity": CAPACITY}
            options = json.dumps(common | trainer.switches)
            self.start(python, ["bench.core.training_worker", trainer.adapter, options], cache, variables)
        except (OSError, SystemExit, ValueError) as error:
            self.failure = f"environment: {error}"


def main() -> int:
    arguments = parser().parse_args()
    size = QUICK if arguments.quick else FULL
    cache = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    folder = (
        cache / "quick" if arguments.quick else results_folder(ROOT / "bench/results", Path(sys.executable))
    )
    path = folder / "rates.json"
    results = begun(path, size)
    groups = {name: chosen(trainers, arguments.only) for name, trainers in GROUPS.items()}
    needs_wheel = any(trainer.packages for wanted in groups.values() for trainer in wanted.values())
    wheel = arguments.wheel or (build_wheel(cache) if needs_wheel else None)
    files = Files(cache, arguments.cleanrl, wheel)
    for name, wanted in groups.items():
        if not wanted:
            continue
        if name == "peers" and "mujigae" in wanted:
            wanted["mujigae"] = Trainer("bench.peers.mujigae:Training", fastest(results["rows"]))
        began = time.monotonic()
        rows = group(name, wanted, size, files, results)
        results["rows"] = merged(results["rows"], rows)
        results["groups"][name] = {
            "seconds": round(time.monotonic() - began),
            "load": [round(load, 1) for load in os.getloadavg()],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        for row in rows:
            print(f"{name}, {row['subject']}: {row.get('steps_per_second', row.get('reason'))}", flush=True)
    return 0


def chosen(trainers: dict[str, Trainer], only: list[str] | None) -> dict[str, Trainer]:
    """The trainers of these names, all if None."""
    return {name: trainer for name, trainer in trainers.items() if not only or name in only}


def begun(path: Path, size: Size) -> Results:
    """The results so far, or none; the machine and the protocol as they are now."""
    old = json.loads(path.read_text()) if path.exists() else {}
    fixed = {"torch_threads": NUM_THREADS, "steps_per_update": STEPS_PER_UPDATE, "batch_size": 32}
    return {
        "machine": describe(),
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "protocol": {**size._asdict(), **fixed, "seed": SEED, "capacity": CAPACITY},
        "groups": old.get("groups", {}),
        "subjects": old.get("subjects", {}),
        "rows": old.get("rows", []),
    }


def fastest(rows: list[Results]) -> dict[str, Any]:
    """The switches of the ablation's fastest row on the CPU; all of them where nothing is measured."""
    known = [
        row
        for row in rows
        if row["group"] == "ablation" and row["status"] == "ok" and "device" not in row["switches"]
    ]
    best = max(known, key=lambda row: row["steps_per_second"], default={"switches": BEST})
    switches: dict[str, Any] = best["switches"]
    return switches


def merged(old: list[Results], new: list[Results]) -> list[Results]:
    """New rows in the place of old ones of the same group and subject."""
    rows = {(row["group"], row["subject"]): row for row in old + new}
    return list(rows.values())


def group(
    name: str, trainers: dict[str, Trainer], size: Size, files: Files, results: Results
) -> list[Results]:
    """The rows of all trainers of a group; they warm up one by one and are then visited in turns."""
    able = {key: trainer for key, trainer in trainers.items() if has_cuda() or not trainer.needs_cuda}
    children = {key: TrainerChild(trainer, size, files) for key, trainer in able.items()}
    try:
        failures = warmed(children, size, results)
        ready = {key: child for key, child in children.items() if key not in failures}
        seconds, visits = (
            (size.peer_seconds, size.peer_visits)
            if name == "peers"
            else (size.ablation_seconds, size.ablation_visits)
        )
        told = visited(ready, seconds, visits)
    finally:
        for child in children.values():
            child.close()
    absent = {"status": "not offered", "reason": "needs a GPU"}
    answers = {key: summary(told[key]) if key in told else failures.get(key, absent) for key in trainers}
    return [
        {"group": name, "subject": key, "switches": trainers[key].switches, **answer}
        for key, answer in answers.items()
    ]


def has_cuda() -> bool:
    return bool(import_module("torch").cuda.is_available())


def warmed(children: dict[str, Child], size: Size, results: Results) -> dict[str, Results]:
    """Lets all come to their first updates, one after the other; returns what those that failed say."""
    for child in children.values():
        child.tell({"do": "hello"})
    answers = {key: child.hear(600) for key, child in children.items()}
    for key, answer in answers.items():
        if answer["status"] == "ok":
            results["subjects"][key] = {name: value for name, value in answer.items() if name != "status"}
            answers[key] = children[key].ask({"do": "warm", "updates": size.warm_updates}, 600)
    return {key: answer for key, answer in answers.items() if answer["status"] != "ok"}


def visited(children: dict[str, Child], seconds: float, visits: int) -> dict[str, list[Results]]:
    """What each answers, in turns: A B C, then B C A, and so on."""
    told: dict[str, list[Results]] = {key: [] for key in children}
    names = list(children)
    for turn in range(visits):
        first = turn % max(1, len(names))
        for key in names[first:] + names[:first]:
            told[key].append(children[key].ask({"do": "time", "seconds": seconds}, 60 + 10 * seconds))
    return told


def summary(visits: list[Results]) -> Results:
    """Steps a second in the best visit, and how far the visits lie apart. One update in four steps is checked, not believed."""
    for visit in visits:
        if visit["status"] != "ok":
            return visit
    steps, updates = (sum(visit[what] for visit in visits) for what in ("steps", "updates"))
    slack = 8 * len(visits)  # a vector step of 32 may lie on either side of a visit's end
    if abs(steps / STEPS_PER_UPDATE - updates) > slack:
        return {"status": "failed", "reason": f"{updates} updates in {steps} steps, not one in four"}
    rates = [visit["steps"] / visit["seconds"] for visit in visits]
    return {
        "status": "ok",
        "steps_per_second": round(max(rates), 2),
        "spread": round(max(rates) / min(rates) - 1, 3),
        "visits": [round(rate, 2) for rate in rates],
        "cpu_seconds_per_step": round(sum(visit["cpu_seconds"] for visit in visits) / steps, 5),
        "steps": steps,
        "updates": updates,
    }


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = list(dict.fromkeys(key for trainers in GROUPS.values() for key in trainers))
    described.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help="some trainers, some rows"
    )
    described.add_argument(
        "--quick", action="store_true", help="short visits, results into the cache: does it all work?"
    )
    described.add_argument("--cache", type=Path, default=CACHE, help="for environments and compiled kernels")
    described.add_argument(
        "--wheel", type=Path, help="of mujigae, for the environments of others; built when left out"
    )
    described.add_argument(
        "--cleanrl", type=Path, help="rainbow_atari.py at the pinned commit; fetched when left out"
    )
    return described


if __name__ == "__main__":
    sys.exit(main())
