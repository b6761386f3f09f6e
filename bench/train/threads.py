"""One update on one thread and on several, in quiet and beside a busy process, with every way in which GCC's threads can wait:

    python bench/train/threads.py bench/results/<machine>/update_threads.json

Threads of torch wait for each other at the end of each parallel loop. GCC's runtime spins there, for so long as GOMP_SPINCOUNT or
OMP_WAIT_POLICY says, which it reads when it is loaded: so each case is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.core.hardware import describe
from bench.train.collect import packages

SECONDS = 5.0
WAITS: dict[str, dict[str, str]] = {
    "as it is": {},
    **{f"GOMP_SPINCOUNT={count}": {"GOMP_SPINCOUNT": str(count)} for count in (100_000, 10_000, 1_000, 0)},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the JSON to write")
    parser.add_argument("--preset", default="pong")
    parser.add_argument("--env", help="the preset's own where none is given")
    parser.add_argument(
        "--only", type=int, help=argparse.SUPPRESS
    )  # threads of a process of this script's own
    options = parser.parse_args()
    if options.only is not None:
        print(json.dumps(measure(options.preset, options.env, options.only)))
        return
    cores = len(os.sched_getaffinity(0))
    cases = [(1, "as it is"), *((cores, wait) for wait in WAITS)]
    found = [
        {"beside": beside, "threads": threads, "waits": wait, **case(options, threads, wait, beside)}
        for beside in ("nothing", "a busy process")
        for threads, wait in cases
    ]
    result = {
        "preset": options.preset,
        "environment": options.env,
        "cases": found,
        "machine": describe(),
        "versions": packages(),
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")


def case(options: Any, threads: int, wait: str, beside: str) -> dict[str, float]:
    busy = [sys.executable, "-c", "while True: pass"]
    other = subprocess.Popen(busy) if beside != "nothing" else None
    try:
        command = [sys.executable, __file__, str(options.out), "--preset", options.preset]
        command += ["--only", str(threads), *(["--env", options.env] if options.env else [])]
        done = subprocess.run(
            command, env=os.environ | WAITS[wait], stdout=subprocess.PIPE, text=True, check=True
        )
    finally:
        if other is not None:
            other.kill()
            other.wait()
    found: dict[str, float] = json.loads(done.stdout)
    print(beside, threads, wait, found, flush=True)
    return found


def measure(preset: str, env_id: str | None, threads: int) -> dict[str, float]:
    """Seconds of an update in this process."""
    import torch

    from mujigae.agents.presets import resolve
    from mujigae.agents.registry import create_agent
    from mujigae.envs.make import make
    from mujigae.training.precision import _random_batch, _seconds

    torch.set_num_threads(threads)
    config = resolve(preset, env_id, {"num_threads": threads, "precision": "float32"})
    environment = make(config.env, training=True)
    spaces = environment.observation_space, environment.action_space
    environment.close()
    agent = create_agent(config, *spaces)
    batch = _random_batch(config, agent, *spaces)
    for _ in range(5):
        _seconds(agent, batch)
    seconds, ends_at = [], time.monotonic() + SECONDS
    while time.monotonic() < ends_at:
        seconds.append(_seconds(agent, batch))
    assert all(bool(value.isfinite().all()) for value in agent.policy().values())
    return {"mean_seconds": statistics.fmean(seconds), "median_seconds": statistics.median(seconds)}


if __name__ == "__main__":
    main()
