"""What becomes of the draws of one shard where many of its size are in one address space, the engine alone:

    python bench/distributed/many_shards.py bench/results/<machine>/distributed_many_shards.json

Each shard has a million rows of recorded Atari frames, compressed: the same ones, each stored by itself. Batches of 512 are
drawn from one shard, and then from all of them in a random order; every batch gives new priorities back. The two are measured
by turns, several times, and once before the other shards are there. The first batch of each round is compared with what was
added, byte by byte. All batches are drawn into the same memory: each buffer recycles its own, so that many of them would have many
times the memory of batches too, and that of one alone would stay in the processor's caches.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import mujigae
from bench.core.environments import CACHE
from bench.core.stream import N_STEP, SIDE, STACK, AtariStream, record
from bench.train.collect import machine, packages

BATCH_SIZE, NUM_BATCHES = 512, 200
NUM_FRAMES = 100_000


def main() -> None:
    options = parser().parse_args()
    if not options.frames.exists():
        record(options.frames, NUM_FRAMES)
    results = measure(AtariStream(options.frames), options.shards, options.rows, options.rounds)
    options.out.write_text(
        json.dumps({**results, "machine": machine(), "versions": packages()}, indent=2) + "\n"
    )
    print(json.dumps(results, indent=1))


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("out", type=Path, help="the JSON to write")
    result.add_argument("--shards", type=int, default=16)
    result.add_argument("--rows", type=int, default=1_000_000, help="of each shard")
    result.add_argument("--rounds", type=int, default=7, help="of each side")
    result.add_argument(
        "--frames", type=Path, default=CACHE / f"frames-{NUM_FRAMES}.npy", help="recorded ones"
    )
    return result


def measure(stream: AtariStream, num_shards: int, num_rows: int, num_rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shards = [make_shard(num_rows, seed) for seed in range(num_shards)]
    fill(shards[:1], stream, num_rows, rng)
    alone = [rates(shards[:1], stream, rng) for _ in range(num_rounds)]
    fill(shards[1:], stream, num_rows, rng)
    rounds = [(rates(shards[:1], stream, rng), rates(shards, stream, rng)) for _ in range(num_rounds)]
    one, many = ([pair[side] for pair in rounds] for side in (0, 1))
    return {
        "shards": num_shards,
        "rows_of_each": min(len(shard) for shard in shards),
        "batch_size": BATCH_SIZE,
        "bytes_of_a_row": sum(shard.nbytes for shard in shards) / sum(len(shard) for shard in shards),
        "most_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "alone": alone,
        "one": one,
        "many": many,
        "share_of_one": statistics.median(b["drawn"] / a["drawn"] for a, b in rounds),
        "share_of_alone": middle(many) / middle(alone),
    }


def middle(found: list[dict[str, float]]) -> float:
    return statistics.median(each["drawn"] for each in found)


def make_shard(num_rows: int, seed: int) -> Any:
    return mujigae.PrioritizedReplayBuffer(
        num_rows,
        ((STACK, SIDE, SIDE), np.uint8),
        ((), np.int64),
        frame_stack=STACK,
        n_step=N_STEP,
        compress=True,
        validate=False,
        seed=seed,
    )


def fill(shards: list[Any], stream: AtariStream, num_rows: int, rng: np.random.Generator) -> None:
    """Every part of the recording ends as truncated, and comes as often as there are rows to fill."""
    num_times = -(-num_rows // len(stream))
    for rows in stream.chunks(len(stream)):
        steps = [np.ascontiguousarray(part)[:, None] for part in rows]
        steps[5][-1] = ~steps[4][-1]
        for shard in shards:
            for _ in range(num_times):
                shard.extend(*steps, priority=rng.random((len(steps[1]), 1)))


def rates(shards: list[Any], stream: AtariStream, rng: np.random.Generator) -> dict[str, float]:
    """Rows drawn, and priorities given back, a second."""
    drawing, updating, batch = 0.0, 0.0, None
    for number, shard in enumerate(order(shards, rng)):
        began = time.perf_counter()
        batch = shard.sample(BATCH_SIZE, out=batch)
        drawing += time.perf_counter() - began
        if number == 0:
            assert np.array_equal(batch.obs, stream.stacks(stream.position[batch.action])), "other frames"
        priorities = rng.random(BATCH_SIZE)
        began = time.perf_counter()
        shard.update_priorities(batch.key, priorities)
        updating += time.perf_counter() - began
    return {"drawn": NUM_BATCHES * BATCH_SIZE / drawing, "updated": NUM_BATCHES * BATCH_SIZE / updating}


def order(shards: list[Any], rng: np.random.Generator) -> Iterator[Any]:
    """Each as often as any other, in a random order."""
    numbers = np.arange(NUM_BATCHES) % len(shards)
    return (shards[number] for number in rng.permutation(numbers))


if __name__ == "__main__":
    main()
