"""Kills actors, shards and the learner of a run at random, and looks at what is left:

    python bench/distributed/kills.py bench/results/<machine>/distributed_kills.json --kills 100 --seed 0

The run is one of `mujigae train --actors --shards` with an environment whose rows say which they are (`numbered.py`). Each kill
is a SIGKILL, at a random moment; the next one follows when training has gone on. A killed learner takes all others with it, and
the run is resumed. In the end every row of the shards' files is looked at. `--workers ray`: the same with Ray.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import mujigae
from bench.distributed.numbered import faults_in
from bench.train.collect import machine, packages

ROOT = Path(__file__).resolve().parents[2]
MARK = "MUJIGAE_KILLS"  # an environment variable that all processes of a run inherit
TITLES = {"actor": b"ray::ActorServer", "shard": b"ray::ShardServer"}  # that Ray gives its processes
GOES_ON_SECONDS = 180.0
OPTIONS = [
    *(
        "bench.distributed.numbered:Checker",
        "--env",
        "bench.distributed.numbered:Numbered-v0",
        "--prioritized",
    ),
    *(
        "--num-envs",
        "4",
        "--env-kwargs",
        "delay_seconds=0.002",
        "--batch-size",
        "32",
        "--learn-period-steps",
        "16",
    ),
    *(
        "--capacity",
        "4000000",
        "--min-replay-steps",
        "500",
        "--steps",
        "1000000000",
        "--log-period-steps",
        "64",
    ),
    *("--checkpoint-period-steps", "5000"),
]


def main() -> None:
    options = parser().parse_args()
    results = kill_run(options)
    versions = packages()
    if options.workers == "ray":
        versions["ray"] = __import__("ray").__version__
    results |= {"workers": options.workers, "machine": machine(), "versions": versions}
    results |= {"seed": options.seed, "options": OPTIONS}
    options.out.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results["totals"]))
    sys.exit(bool(results["failures"]))


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("out", type=Path, help="the JSON to write")
    result.add_argument("--kills", type=int, default=100, help="processes to kill")
    result.add_argument("--one-of-each", action="store_true", help="an actor, a shard, the learner, by turns")
    result.add_argument("--workers", choices=("processes", "ray"), default="processes")
    result.add_argument("--actors", type=int, default=2)
    result.add_argument("--shards", type=int, default=2)
    result.add_argument("--seed", type=int, default=0, help="of victims and moments")
    return result


class Run:
    """A run in a process of its own, which is resumed when it was killed."""

    def __init__(self, root: Path, workers: str, num_actors: int, num_shards: int) -> None:
        self.root, self.folder, self.mark = root, root / "run", secrets.token_hex(8)
        self._is_of = is_of_ray if workers == "ray" else is_of_this_machine
        sizes = ["--actors", str(num_actors), "--shards", str(num_shards), "--workers", workers]
        self._begin(["train", *OPTIONS, *sizes, "--name", "run"])

    def _begin(self, arguments: list[str]) -> None:
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        variables = os.environ | {MARK: self.mark, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "mujigae", *arguments, "--runs", str(self.root)]
        with (self.root / "log").open("a") as log:
            self.process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)

    def resume(self) -> None:
        """At once, as a user does: shards of before may still be there, and some of Ray's agents stay for a minute."""
        self.process.wait()
        self._begin(["train", "--resume", str(self.folder)])

    def processes(self) -> list[int]:
        """All that are left of the run, with whatever name."""
        return [pid for pid in pids() if f"{MARK}={self.mark}".encode() in read(pid, "environ").split(b"\0")]

    def victims(self, kind: str) -> list[int]:
        if kind == "learner":
            return [self.process.pid]
        return [pid for pid in self.processes() if self._is_of(pid, kind)]

    def updates(self) -> int:
        """Gradient steps in the newest row of progress.csv."""
        errors = OSError, IndexError, ValueError, KeyError
        with contextlib.suppress(*errors), (self.folder / "progress.csv").open(newline="") as file:
            return int([*csv.DictReader(file)][-1]["updates"])
        return 0

    def wait_until_it_goes_on(self) -> None:
        """Twenty updates more than there are; a run that was resumed begins with fewer."""
        lowest = self.updates()

        def has_gone_on() -> bool:
            nonlocal lowest
            lowest = min(lowest, self.updates())
            assert self.process.poll() is None, (self.root / "log").read_text()[-3000:]
            return self.updates() >= lowest + 20

        wait_for(has_gone_on, "training to go on")

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(GOES_ON_SECONDS)


def kill_run(options: argparse.Namespace) -> dict[str, Any]:
    rng, kills = random.Random(options.seed), []
    shared_before = {*os.listdir("/dev/shm")}
    with tempfile.TemporaryDirectory(prefix="kills-") as root:
        run = Run(Path(root), options.workers, options.actors, options.shards)
        run.wait_until_it_goes_on()
        for number in range(options.kills):
            kinds = ("actor", "shard", "learner")
            kind = kinds[number % 3] if options.one_of_each else rng.choices(kinds, weights=(9, 9, 2))[0]
            time.sleep(rng.random() * 2)
            kills.append(kill_one(run, kind, rng))
            print(number, kills[-1], flush=True)
        run.end()
        left = wait_for_no_processes(run)
        found = [faults_in(mujigae.load(path)) for path in sorted((run.folder / "replay").glob("*.mujigae"))]
        ended = json.loads((run.folder / "cluster.json").read_text())
    totals = {name: sum(faults[name] for faults in found) for name in found[0]}
    totals |= {
        f"kills_of_{kind}s": sum(kill["kind"] == kind for kill in kills)
        for kind in ("actor", "shard", "learner")
    }
    totals |= {
        "flushed_rows_lost": sum(kill["flushed_rows_lost"] for kill in kills),
        "processes_left": len(left),
        "shared_memory_segments_left": len({*os.listdir("/dev/shm")} - shared_before),
    }
    bad = (
        "missing",
        "twice",
        "wrong_priorities",
        "flushed_rows_lost",
        "processes_left",
        "shared_memory_segments_left",
    )
    failures = [name for name in bad if totals[name]]
    return {
        "totals": totals,
        "failures": failures,
        "shards": found,
        "kills": kills,
        "last_part": ended["totals"],
    }


def kill_one(run: Run, kind: str, rng: random.Random) -> dict[str, Any]:
    """Kills one process; returns when training has gone on."""
    wait_for(lambda: bool(run.victims(kind)), f"a {kind} to be there")
    victim = rng.choice(run.victims(kind))
    before = flushed_rows(run.folder)
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    if kind == "learner":
        run.resume()
    run.wait_until_it_goes_on()
    after = flushed_rows(run.folder)
    lost = sum(max(rows - after.get(name, 0), 0) for name, rows in before.items())
    return {
        "kind": kind,
        "seconds_until_training": round(time.monotonic() - began, 2),
        "flushed_rows_lost": lost,
    }


def is_of_ray(pid: int, kind: str) -> bool:
    return read(pid, "cmdline").startswith(TITLES[kind])


def is_of_this_machine(pid: int, kind: str) -> bool:
    """A server writes what it prints to a file with its name."""
    with contextlib.suppress(OSError):
        return Path(os.readlink(f"/proc/{pid}/fd/1")).name.startswith(f"{kind}-")
    return False


def flushed_rows(folder: Path) -> dict[str, int]:
    """Rows that each shard is sure to have flushed: of the records in its ledger the smaller."""
    return {
        path.name: min(record[0] for record in json.loads(path.read_text())["records"])
        for path in (folder / "replay").glob("*.ledger")
    }


def wait_for_no_processes(run: Run) -> list[int]:
    with contextlib.suppress(TimeoutError):
        wait_for(lambda: not run.processes(), "all processes to end", 90.0)
    return run.processes()


def wait_for(condition: Any, what: str, seconds: float = GOES_ON_SECONDS) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"expected {what} within {seconds:g} seconds")
        time.sleep(0.1)


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def read(pid: int, name: str) -> bytes:
    """What /proc says of a process; nothing of one that has gone, or that is of somebody else."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


if __name__ == "__main__":
    main()
