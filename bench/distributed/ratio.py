"""Samples per insert, and how long the learner waits, with slow and with fast actors:

    python bench/distributed/ratio.py bench/results/<machine>/distributed_ratio.json

Two actors and one shard. Slow actors: a step takes longer than its share of the updates, so the learner has to wait. Fast ones:
an update takes longer, so the actors have to, and the learner must not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.train.collect import machine, packages

ROOT = Path(__file__).resolve().parents[2]
BATCH_SIZE, PERIOD, FIRST = 64, 16, 512
CASES = {
    "slow actors": ["--env-kwargs", "delay_seconds=0.02"],
    "fast actors": ["--env-kwargs", "delay_seconds=0.0", "--update-seconds", "0.02"],
}
OPTIONS = [
    *(
        "bench.distributed.numbered:Checker",
        "--env",
        "bench.distributed.numbered:Numbered-v0",
        "--prioritized",
    ),
    *("--num-envs", "4", "--batch-size", str(BATCH_SIZE), "--learn-period-steps", str(PERIOD)),
    *("--capacity", "1000000", "--min-replay-steps", str(FIRST), "--actors", "2", "--shards", "1"),
    *("--steps", "1000000000", "--checkpoint-period-steps", "1000000000"),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the JSON to write")
    parser.add_argument("--minutes", type=float, default=1.0, help="of each run")
    options = parser.parse_args()
    results = {name: measure(more, options.minutes) for name, more in CASES.items()}
    wanted = {"asked": BATCH_SIZE / PERIOD, "options": OPTIONS, "cases": results}
    options.out.write_text(
        json.dumps({**wanted, "machine": machine(), "versions": packages()}, indent=2) + "\n"
    )
    print(json.dumps(results, indent=1))


def measure(more: list[str], minutes: float) -> dict[str, Any]:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory(prefix="ratio-") as root:
        command = [sys.executable, "-m", "mujigae", "train", *OPTIONS, *more, "--minutes", str(minutes)]
        subprocess.run(
            [*command, "--runs", root, "--name", "run"],
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        totals = json.loads((Path(root) / "run" / "cluster.json").read_text())["totals"]
    num_added = sum(shard["num_added"] for shard in totals["shards"])
    ratio = totals["rows_sampled"] / (num_added - FIRST)
    return {
        "samples_per_insert": ratio,
        "off_by": ratio / (BATCH_SIZE / PERIOD) - 1,
        "learner_waits": totals["wait_seconds"] / totals["learn_seconds"],
        "actors_wait": totals["actor_wait_seconds"] / totals["actor_seconds"],
        "rows_added": num_added,
        "updates": totals["updates"],
        "seconds": totals["seconds"],
    }


if __name__ == "__main__":
    main()
