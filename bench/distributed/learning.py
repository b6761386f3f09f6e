"""One process, and two actors with one shard, at the same number of updates:

    python bench/distributed/learning.py bench/results/<machine>/distributed_learning.json --seeds 3

Both learn CartPole-v1 by the same preset and options, with as many environments in all, and are evaluated in 100 games each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.train.collect import machine, packages, read_rows
from mujigae import cli
from mujigae.runs.session import evaluate_run

WORKERS = {"one process": ["--num-envs", "4"], "two actors": ["--num-envs", "2", "--actors", "2"]}
NUM_GAMES = 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the JSON to write")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=50_000)
    options = parser.parse_args()
    runs = [
        measure(name, more, seed, options.steps)
        for seed in range(options.seeds)
        for name, more in WORKERS.items()
    ]
    versions = packages() | {"ray": __import__("ray").__version__}
    options.out.write_text(
        json.dumps({"runs": runs, "machine": machine(), "versions": versions}, indent=2) + "\n"
    )


def measure(name: str, more: list[str], seed: int, steps: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="learning-") as root:
        began = time.monotonic()
        arguments = [
            "dqn",
            "--env",
            "CartPole-v1",
            "--prioritized",
            "--seed",
            str(seed),
            "--steps",
            str(steps),
        ]
        ends = ["--best-episodes", "0", "--stop-score", "None", "--stop-evaluation", "None"]
        status = cli.main(["train", *arguments, *ends, *more, "--runs", root, "--name", "run"])
        assert status == 0, status
        seconds = time.monotonic() - began
        scores = evaluate_run(Path(root) / "run", NUM_GAMES, trust_modules=True)
        last = read_rows(Path(root) / "run" / "progress.csv")[-1]
    result = {
        "workers": name,
        "seed": seed,
        "updates": int(last["updates"]),
        "steps": int(last["step"]),
        "seconds": seconds,
        "mean_score": float(scores.mean()),
        "standard_error": float(scores.std(ddof=1) / NUM_GAMES**0.5),
    }
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    main()
