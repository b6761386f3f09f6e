"""How long `mujigae train pong` takes to learn Pong, seed by seed:

    python bench/train/pong.py runs/pong-seeds bench/results/pong_seeds.json --first-seed 0 --seeds 5

A run ends where the mean of its last 100 games is 18, or after 25 minutes. Minutes count only where nothing else runs, so one
run follows the other; a seed that the results have already is not run again, whichever day that was.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.train.collect import evaluation, machine, packages, train, training
from bench.train.sweep import interquartile_mean, interval

MAX_MINUTES, NUM_GAMES = 25.0, 20


def main() -> None:
    options = parser().parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    runs: dict[str, Any] = json.loads(options.out.read_text())["runs"] if options.out.exists() else {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        if str(seed) not in runs:
            runs[str(seed)] = json.loads(json.dumps(run(seed, options.runs)))  # as those that were read
            options.out.write_text(json.dumps(results(runs), indent=1) + "\n")


def run(seed: int, folder: Path) -> dict[str, Any]:
    name = f"pong-{seed}"
    command = train(["pong", "--seed", str(seed), "--minutes", f"{MAX_MINUTES:g}"], folder, name)
    return {
        "command": command,
        "training": training(folder / name),
        "evaluation": evaluation(folder / name, NUM_GAMES),
        "machine": machine(),
        "packages": packages(),
    }


def results(runs: dict[str, Any]) -> dict[str, Any]:
    """All runs in the order of their seeds, and the interquartile mean of their minutes; one that did not learn counts as 25."""
    ordered = {seed: runs[seed] for seed in sorted(runs, key=int)}
    reached = [one["training"]["minutes_to_stop_score"]["100"] for one in ordered.values()]
    minutes = [MAX_MINUTES if one is None else one for one in reached]
    return {
        "max_minutes": MAX_MINUTES,
        "num_reached": len(reached) - reached.count(None),
        "minutes": {
            "interquartile_mean": round(interquartile_mean(minutes), 2),
            "interval": interval(minutes),
        },
        "runs": ordered,
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("runs", type=Path, help="folder of the runs")
    made.add_argument("out", type=Path, help="the results, JSON; what it has stays")
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--seeds", type=int, default=5, help="how many")
    return made


if __name__ == "__main__":
    main()
