"""One process, and two actors with one shard, at the same number of updates:

    python bench/distributed/learning.py cartpole bench/results/<machine>/distributed_learning.json --seeds 3
    python bench/distributed/learning.py pong bench/results/<machine>/distributed_pong.json --seeds 1

Both sides learn by the same preset and options, with as many environments in all. At each checkpoint some games are played; the
last network, and the best of those games, play others. DQN forgets CartPole now and then and learns it again, so there the last
network alone says little: the mean over the checkpoints of the second half says more. Pong is trained for as many steps as
a run of `mujigae train pong` once took to a mean of 18 (bench/results/pong).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.train.collect import machine, mean, packages, read_rows
from mujigae import cli
from mujigae.runs.session import evaluate_run


class Task(NamedTuple):
    """What both sides train, and what differs between them."""

    arguments: str
    steps: int
    num_games: int  # of each evaluation at the end
    num_checkpoint_games: int
    sides: dict[str, list[str]]


TASKS = {
    "cartpole": Task(
        "dqn --env CartPole-v1 --prioritized --checkpoint-period-steps 2500",
        50_000,
        100,
        20,
        {"one process": ["--num-envs", "4"], "two actors": ["--num-envs", "2", "--actors", "2"]},
    ),
    "pong": Task(
        "pong --checkpoint-period-steps 50000",
        424_228,
        20,
        5,
        {"one process": [], "two actors": ["--num-envs", "8", "--actors", "2"]},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("out", type=Path, help="the JSON to write")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--sides", nargs="+", default=["one process", "two actors"])
    parser.add_argument("--runs", type=Path, help="keep the runs in this folder")
    options = parser.parse_args()
    task = TASKS[options.task]
    with tempfile.TemporaryDirectory(prefix="learning-") as folder:
        root = options.runs or Path(folder)
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        runs = [measure(task, side, seed, root) for seed in seeds for side in options.sides]
    options.out.write_text(
        json.dumps({"runs": runs, "machine": machine(), "versions": packages()}, indent=2) + "\n"
    )


def measure(task: Task, side: str, seed: int, root: Path) -> dict[str, Any]:
    run = root / f"{side.replace(' ', '-')}-{seed}"
    began = time.monotonic()
    lengths = ["--steps", str(task.steps), "--stop-score", "None", "--stop-evaluation", "None"]
    games = ["--best-episodes", str(task.num_checkpoint_games)]
    where = ["--seed", str(seed), "--runs", str(root), "--name", run.name]
    status = cli.main(["train", *task.arguments.split(), *lengths, *games, *task.sides[side], *where])
    assert status == 0, status
    seconds = time.monotonic() - began
    scores = evaluate_run(run, task.num_games, trust_modules=True)
    best = evaluate_run(run, task.num_games, network="best", trust_modules=True)
    last, checkpoints = read_rows(run / "progress.csv")[-1], read_rows(run / "evaluations.csv")
    curve = [(int(row["step"]), float(row["mean_return"])) for row in checkpoints]
    result = {
        "workers": side,
        "seed": seed,
        "updates": int(last["updates"]),
        "steps": int(last["step"]),
        "seconds": seconds,
        "games": task.num_games,
        "games_of_a_checkpoint": task.num_checkpoint_games,
        "mean_score": float(scores.mean()),
        "standard_error": float(scores.std(ddof=1) / task.num_games**0.5),
        "best_score": float(best.mean()),
        "best_standard_error": float(best.std(ddof=1) / task.num_games**0.5),
        "second_half_score": mean([score for step, score in curve if step > task.steps / 2]),
        "curve": curve,
    }
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    main()
