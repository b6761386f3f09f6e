"""A model of how many rows a second a run of several processes stores, beside what it does store on this machine:

    python bench/distributed/model.py bench/results/<machine>/distributed_model.json

The parts are timed one by one, in one process: a row in an actor (its step, its action, its first priority, its place in a chunk), the chunk
through a socket, a row in a shard, a row of a batch drawn there, an update. A row takes the sum of what it needs of each; so many
cores bring so many seconds a second, and neither an actor, nor the shard, nor the learner can do more than a core's. Then the
run itself is made, as `mujigae train` makes it, and its rows are counted from its first update on.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.train.collect import machine, packages, read_rows
from mujigae.agents.presets import resolve
from mujigae.distributed.carriers import Carrier
from mujigae.distributed.collector import Collector
from mujigae.distributed.ledger import Standing
from mujigae.distributed.plan import Plan
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import NOWHERE
from mujigae.distributed.shard_server import ShardServer
from mujigae.distributed.workers import ClusterWorkers, _on_device
from mujigae.replay.batch import Batch

NUM_ACTORS, NUM_SHARDS = 2, 1
CASES: dict[str, dict[str, Any]] = {
    "CartPole-v1, dqn --prioritized": {
        **{"preset": "dqn", "env_id": "CartPole-v1", "prioritized": True, "num_envs": 4, "steps": 30_000},
        **{"capacity": 100_000, "stop_evaluation": None, "best_episodes": 0},
        **{"checkpoint_period_steps": 10**9, "log_period_steps": 1_000},
    },
    "ALE/Pong-v5, pong": {
        **{
            "preset": "pong",
            "env_id": "ALE/Pong-v5",
            "num_envs": 8,
            "steps": 30_000,
            "min_replay_steps": 2_000,
        },
        **{"overlap": False, "precision": "float32", "best_episodes": 0, "stop_score": None},
        **{"checkpoint_period_steps": 10**9, "log_period_steps": 1_000},
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the JSON to write")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    cases = {name: measure(dict(values)) for name, values in CASES.items()}
    cores = len(os.sched_getaffinity(0))
    results = {"cores": cores, "actors": NUM_ACTORS, "shards": NUM_SHARDS, "cases": cases}
    options.out.write_text(
        json.dumps({**results, "machine": machine(), "versions": packages()}, indent=2) + "\n"
    )
    print(json.dumps(results, indent=1))


def measure(values: dict[str, Any]) -> dict[str, Any]:
    preset, env_id = values.pop("preset"), values.pop("env_id")
    workers = ClusterWorkers(NUM_ACTORS, NUM_SHARDS, Carrier())
    training = workers.build(resolve(preset, env_id, {**values, "num_threads": 1}))
    plan = workers._plan
    parts = times_of(plan, training)
    predicted, limit = predict(parts, plan.samples_per_insert, len(os.sched_getaffinity(0)))
    observed = run(preset, env_id, values)
    return {
        "options": {"preset": preset, "env_id": env_id, **values},
        "samples_per_insert": plan.samples_per_insert,
        "seconds_a_row": parts,
        "predicted_rows_per_second": predicted,
        "limited_by": limit,
        "observed_rows_per_second": observed,
        "observed_of_predicted": observed / predicted,
    }


def times_of(plan: Plan, training: Any) -> dict[str, float]:
    """Seconds of a core, each for a row: of a chunk, or of a batch."""
    actor, config = plan.actors()[0], training.config
    where = {"life": 1, "first_lane": actor.first_lane, "chunk_steps": actor.chunk_steps}
    collector = Collector(config, actor=0, num_actors=NUM_ACTORS, **where)
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        server = ShardServer(plan.shards(Path(folder))[0]._replace(slack=1e18, min_rows=1))
        sender = Sender(0, 1, Standing(), lanes=tuple(range(config.env.num_envs)))
        spent = dict.fromkeys(("actor", "wire", "shard"), 0.0)
        num_rows = 0
        while num_rows < 4_096:
            rows, seconds = timed(lambda: collector.collect()[0])
            spent["actor"] += seconds
            sender.put(rows)
            chunk, seconds = timed(lambda: pickle.loads(pickle.dumps(sender.next())))
            spent["wire"] += seconds
            answer, seconds = timed(lambda chunk=chunk: server.add(chunk))
            spent["shard"] += seconds
            sender.answered(chunk.sequence, answer)
            num_rows += len(rows.env_ids)
        batch_size = config.replay.batch_size
        draw = mean_of(lambda: server.pull(batch_size, NOWHERE), 100) / batch_size
        (pulled,) = server.pull(batch_size, NOWHERE)
        placed = Batch._make((*_on_device((*pulled.batch[:7],), "cpu"), *pulled.batch[7:]))
        learn = mean_of(lambda: training.agent.learn(placed), 30) / batch_size
        server.close()
    collector.close()
    return {**{name: seconds / num_rows for name, seconds in spent.items()}, "draw": draw, "learn": learn}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def mean_of(work: Callable[[], Any], count: int) -> float:
    work()
    return timed(lambda: [work() for _ in range(count)])[1] / count


def predict(parts: dict[str, float], ratio: float, cores: int) -> tuple[float, str]:
    """Rows a second, and what does not allow more."""
    actor = parts["actor"] + parts["wire"] / 2
    shard = parts["wire"] / 2 + parts["shard"] + ratio * parts["draw"]
    learner = ratio * parts["learn"]
    limits = {
        "cores": cores / (actor + shard + learner),
        "actors": NUM_ACTORS / actor,
        "shard": NUM_SHARDS / shard,
        "learner": 1 / learner,
    }
    name = min(limits, key=lambda limit: limits[limit])
    return limits[name], name


def run(preset: str, env_id: str, values: dict[str, Any]) -> float:
    """Rows a second between the first and the last line of progress.csv with updates."""
    flags = [f"--{'no-' if value is False else ''}{name.replace('_', '-')}" for name, value in values.items()]
    words = [
        word
        for flag, value in zip(flags, values.values(), strict=True)
        for word in ([flag] if isinstance(value, bool) else [flag, str(value)])
    ]
    sizes = ["--actors", str(NUM_ACTORS), "--shards", str(NUM_SHARDS), "--num-threads", "1"]
    with tempfile.TemporaryDirectory(prefix="model-") as root:
        command = [sys.executable, "-m", "mujigae", "train", preset, "--env", env_id, *words, *sizes]
        subprocess.run([*command, "--runs", root, "--name", "run"], check=True, stdout=subprocess.DEVNULL)
        rows = [row for row in read_rows(Path(root) / "run" / "progress.csv") if float(row["updates"]) > 0]
    steps, seconds = (float(rows[-1][name]) - float(rows[0][name]) for name in ("step", "seconds"))
    return steps / seconds


if __name__ == "__main__":
    main()
