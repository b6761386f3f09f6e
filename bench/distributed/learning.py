"""One process, and two actors with one shard, at the same number of updates:

    python bench/distributed/learning.py bench/results/<machine>/distributed_learning.json --seeds 3

Both learn CartPole-v1 by the same preset and options, with as many environments in all. At each checkpoint 20 games are
played; the last network, and the best of those games, play 100 others each. DQN forgets CartPole now and then and learns it
again, so the last network alone says little: the mean over the checkpoints of the second half says more.
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

from bench.train.collect import machine, mean, packages, read_rows
from mujigae import cli
from mujigae.runs.session import evaluate_run

WORKERS = {"one process": ["--num-envs", "4"], "two actors": ["--num-envs", "2", "--actors", "2"]}
NUM_GAMES = 100
CHECKPOINTS = ["--checkpoint-period-steps", "2500", "--best-episodes", "20"]


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
    options.out.write_text(
        json.dumps({"runs": runs, "machine": machine(), "versions": packages()}, indent=2) + "\n"
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
        ends = [*CHECKPOINTS, "--stop-score", "None", "--stop-evaluation", "None"]
        status = cli.main(["train", *arguments, *ends, *more, "--runs", root, "--name", "run"])
        assert status == 0, status
        seconds = time.monotonic() - began
        run = Path(root) / "run"
        scores = evaluate_run(run, NUM_GAMES, trust_modules=True)
        best = evaluate_run(run, NUM_GAMES, network="best", trust_modules=True)
        last, games = read_rows(run / "progress.csv")[-1], read_rows(run / "evaluations.csv")
    curve = [(int(row["step"]), float(row["mean_return"])) for row in games]
    result = {
        "workers": name,
        "seed": seed,
        "updates": int(last["updates"]),
        "steps": int(last["step"]),
        "seconds": seconds,
        "mean_score": float(scores.mean()),
        "standard_error": float(scores.std(ddof=1) / NUM_GAMES**0.5),
        "best_score": float(best.mean()),
        "best_standard_error": float(best.std(ddof=1) / NUM_GAMES**0.5),
        "second_half_score": mean([score for step, score in curve if step > steps / 2]),
        "curve": curve,
    }
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    main()
