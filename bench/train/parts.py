"""The parts of Rainbow on Pong: plain DQN, each of the six parts alone, and all of them, for the same minutes and seed.

    python bench/train/parts.py runs/parts bench/results/pong-parts

Every run is the preset `pong` with its parts switched off or on: the same frames, network, batch and exploration, one torch thread.
Return distributions bring a support, a learning rate and a target period of their own: with those of values they learned nothing
(bench/README.md). As many run side by side as there are cores, so that each has one to itself; leave the machine alone meanwhile. A run
that is finished is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.train.collect import machine, packages, train, training
from mujigae.pictures.curves import plot

NOTHING = ("--no-double", "--no-dueling", "--no-prioritized", "--n-step", "1")
C51_RATES = ("--learning-rate", "1e-3", "--target-update-period-updates", "200")
PARTS: dict[str, tuple[str, ...]] = {
    "dqn": (),
    "double": ("--double",),
    "dueling": ("--dueling",),
    "prioritized": ("--prioritized",),
    "n_step": ("--n-step", "10"),
    "noisy": ("--noisy",),
    "c51": ("--loss", "cross_entropy", "--v-min", "-4", "--v-max", "4", *C51_RATES),
}
ALL = tuple(option for options in PARTS.values() for option in options)
RUNS = {name: NOTHING + options for name, options in PARTS.items()} | {"rainbow": ALL}
KEPT = ("config.json", "episodes.csv", "protocol.txt")


def main() -> None:
    options = parser().parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as side_by_side:
        told = dict(zip(RUNS, side_by_side.map(lambda name: trained(name, options), RUNS), strict=True))
    folders = [keep(options.runs / name, options.out / name) for name in RUNS]
    plot(folders, options.out / "curves.png")
    results = {
        "minutes": options.minutes,
        "seed": options.seed,
        "machine": machine(),
        "packages": packages(),
        "runs": told,
    }
    (options.out / "parts.json").write_text(json.dumps(results, indent=1) + "\n")


def trained(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """What the run of one set of parts told, made if it is not done yet."""
    budget = ["--minutes", f"{options.minutes:g}", "--seed", str(options.seed), "--num-threads", "1"]
    done = options.runs / f"{name}.json"
    if not done.exists():
        command = train(["pong", *RUNS[name], *budget], options.runs, name)
        done.write_text(json.dumps({"command": command, **training(options.runs / name)}))
    told: dict[str, Any] = json.loads(done.read_text())
    return told


def keep(run: Path, out: Path) -> Path:
    """Copies what the curves are drawn from."""
    out.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copyfile(run / name, out / name)
    return out


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("runs", type=Path, help="folder of the runs")
    made.add_argument("out", type=Path, help="folder of the evidence")
    made.add_argument("--minutes", type=float, default=10.0)
    made.add_argument("--seed", type=int, default=0)
    return made


if __name__ == "__main__":
    main()
