"""What a shard in Ray serves beside a local buffer, and what the parts of its calls cost:

    python bench/distributed/serving.py bench/results/<machine>/distributed_serving.json

Both hold the same rows of 84x84 frames in stacks of four, in a file, and draw batches of 512. The shard draws its batches into
memory that it shares with the learner, as it does on the learner's machine; and, as for a learner elsewhere, they go through
Ray's object store (one copy, which is measured by itself too). Every batch is checked by one sum over its newest frames, on
all sides. The three are measured by turns, several times.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import mujigae
from bench.train.collect import machine, packages
from mujigae.distributed.chunk import Step, decode, encode
from mujigae.distributed.cluster import ray_session
from mujigae.distributed.ledger import Standing
from mujigae.distributed.puller import Puller
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Elsewhere
from mujigae.distributed.shard_server import ShardPlan, ShardServer
from mujigae.replay.spec import BufferSpec

STACK, SIDE, NUM_LANES, CHUNK_STEPS = 4, 84, 8, 8
BATCH_SIZE, NUM_BATCHES, IN_FLIGHT = 512, 60, 2


class Space:
    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype


def main() -> None:
    options = parser().parse_args()
    results = measure(options.rows, options.rounds)
    versions = packages() | {"ray": __import__("ray").__version__}
    options.out.write_text(
        json.dumps({**results, "machine": machine(), "versions": versions}, indent=2) + "\n"
    )
    print(json.dumps(results, indent=1))


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("out", type=Path, help="the JSON to write")
    result.add_argument("--rows", type=int, default=40_000, help="rows held")
    result.add_argument("--rounds", type=int, default=5, help="of each side")
    return result


def spec_of(num_rows: int) -> BufferSpec:
    return BufferSpec.of(
        num_rows,
        Space((STACK, SIDE, SIDE), np.uint8),
        Space((), np.int64),
        num_envs=NUM_LANES,
        frame_stack=STACK,
        extras=None,
        sampler=mujigae.Proportional(),
        n_step=3,
    )


def chunks(num_rows: int, spec: BufferSpec) -> Any:
    """Rows of random frames, in chunks."""
    rng = np.random.default_rng(0)
    obs = np.zeros((NUM_LANES, STACK, SIDE, SIDE), np.uint8)
    for first in range(0, num_rows, CHUNK_STEPS * NUM_LANES):
        steps = []
        for t in range(CHUNK_STEPS):
            newest = rng.integers(0, 255, (NUM_LANES, 1, SIDE, SIDE), dtype=np.uint8)
            next_obs = np.concatenate([obs[:, 1:], newest], axis=1)
            ends = np.full(NUM_LANES, (first // NUM_LANES + t) % 500 == 499)
            lanes = np.arange(NUM_LANES)
            never = np.zeros(NUM_LANES, bool)
            steps.append(Step(lanes, obs, lanes, lanes * 0.1, next_obs, ends, never, rng.random(NUM_LANES)))
            obs = next_obs
        yield encode(steps, spec.obs)


def measure(num_rows: int, num_rounds: int) -> dict[str, Any]:
    spec = spec_of(num_rows)
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        local = mujigae.PrioritizedReplayBuffer._of_spec(spec, (os.fsencode(Path(folder) / "local"), "new"))
        plan = ShardPlan(str(Path(folder) / "shard"), spec, 0, 1e9, 1, 1e18)
        with ray_session(None, 1, 1 << 30) as ray:
            shard = ray.remote(ShardServer).options(num_cpus=1).remote(plan)
            adding = fill(ray, shard, local, num_rows, spec)
            puller = Puller(ray, [shard], BATCH_SIZE, seed=0)
            puller.shares.known = [ray.get(shard.look.remote(), timeout=60).share]
            rounds = [
                (rate(local_batches(local)), rate(shared_batches(puller)), rate(stored_batches(ray, shard)))
                for _ in range(num_rounds)
            ]
            assert not any(puller._is_far)
            parts = {**call_parts(ray, shard), **copy_parts(ray, local.sample(BATCH_SIZE))}
            ray.get(shard.close.remote(), timeout=60)
    locals_, shared, stored = ([one[side] for one in rounds] for side in range(3))
    return {
        "batch_size": BATCH_SIZE,
        "rows": num_rows,
        "local_rows_per_second": locals_,
        "shard_rows_per_second": shared,
        "stored_rows_per_second": stored,
        "share_of_local": statistics.median(b / a for a, b, _ in rounds),
        "share_of_local_stored": statistics.median(c / a for a, _, c in rounds),
        **adding,
        **parts,
    }


def fill(ray: Any, shard: Any, local: Any, num_rows: int, spec: BufferSpec) -> dict[str, Any]:
    """Adds the same rows to both; what chunks cost on the way."""
    sender, encoding, sending, num_bytes = Sender(0, 1, Standing()), 0.0, 0.0, 0
    source = chunks(num_rows, spec)
    while True:
        began = time.perf_counter()
        rows = next(source, None)
        encoding += time.perf_counter() - began
        if rows is None:
            break
        for block in decode(rows, spec.obs):
            local.extend(*block[1:7], block.env_ids, priority=block.priority)
        began = time.perf_counter()
        sender.put(rows)
        chunk = sender.next()
        assert chunk is not None
        sender.answered(chunk.sequence, ray.get(shard.add.remote(chunk), timeout=60))
        sending += time.perf_counter() - began
        num_bytes += rows.nbytes
    return {
        "chunk_rows": CHUNK_STEPS * NUM_LANES,
        "chunk_bytes_of_a_row": num_bytes / num_rows,
        "raw_bytes_of_a_row": 2 * STACK * SIDE * SIDE,
        "added_rows_per_second": num_rows / sending,
    }


def local_batches(buffer: Any) -> Any:
    for _ in range(NUM_BATCHES):
        yield buffer.sample(BATCH_SIZE, beta=0.0)


def shared_batches(puller: Puller) -> Any:
    """As the learner takes them."""
    for _ in range(NUM_BATCHES):
        while True:
            puller.ask(0)
            found = puller.take(1.0)
            if found is not None:
                break
        puller.ask(0)
        yield found[1].batch


def stored_batches(ray: Any, shard: Any) -> Any:
    """As a learner on another machine takes them: two calls under way."""
    calls = [shard.pull.remote(BATCH_SIZE, Elsewhere()) for _ in range(IN_FLIGHT)]
    for number in range(NUM_BATCHES):
        pulled = ray.get(calls.pop(0), timeout=60)
        if number + IN_FLIGHT < NUM_BATCHES:
            calls.append(shard.pull.remote(BATCH_SIZE, Elsewhere()))
        yield pulled.batch


def rate(batches: Any) -> float:
    """Rows a second; what is read of each batch is the same on both sides."""
    began, checked = time.perf_counter(), 0
    for batch in batches:
        checked += int(batch.obs[:, -1, 0].sum()) + int(batch.next_obs[:, -1, 0].sum())
    assert checked > 0
    return NUM_BATCHES * BATCH_SIZE / (time.perf_counter() - began)


def call_parts(ray: Any, shard: Any) -> dict[str, float]:
    """A call without anything, one by one and many at once."""
    began = time.perf_counter()
    for _ in range(300):
        ray.get(shard.standing.remote(0), timeout=60)
    one_by_one = (time.perf_counter() - began) / 300
    began = time.perf_counter()
    ray.get([shard.standing.remote(0) for _ in range(1000)], timeout=60)
    return {"call_seconds": one_by_one, "call_seconds_many_at_once": (time.perf_counter() - began) / 1000}


def copy_parts(ray: Any, batch: Any) -> dict[str, float]:
    """The copy of a batch into the object store, and out of it without a copy."""
    puts, gets = [], []
    for _ in range(20):
        began = time.perf_counter()
        reference = ray.put(batch)
        puts.append(time.perf_counter() - began)
        began = time.perf_counter()
        ray.get(reference, timeout=60)
        gets.append(time.perf_counter() - began)
    num_bytes = batch.obs.nbytes + batch.next_obs.nbytes
    return {
        "batch_bytes": num_bytes,
        "put_seconds": statistics.median(puts),
        "get_seconds": statistics.median(gets),
        "put_bytes_per_second": num_bytes / statistics.median(puts),
    }


if __name__ == "__main__":
    main()
