"""Two threads that sample large batches, against one after the other: python bench/core/threads.py

Each thread has a buffer of its own (a buffer is behind one mutex), so what is measured is that the GIL is released. The
ratio is 1 when two threads run side by side, 2 when they wait for each other; the best of several rounds is kept, because
other work on the machine only ever makes it larger. Writes bench/results/threads.json.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mujigae

ROOT = Path(__file__).parents[2]
BATCH_SIZE, NUM_BATCHES, NUM_ROUNDS = 512, 30, 15
FRAME = ((4, 84, 84), np.uint8)


def filled(seed: int) -> mujigae.PrioritizedReplayBuffer:
    buffer = mujigae.PrioritizedReplayBuffer(1000, FRAME, ((), np.int64), frame_stack=4, seed=seed)
    obs = np.zeros(FRAME[0], np.uint8)
    for _ in range(1000):
        buffer.add(obs, 0, 0.0, obs, False, False)
    return buffer


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    os.environ["MUJIGAE_NUM_THREADS"] = "1"  # otherwise one batch keeps both cores busy by itself
    buffers = [filled(seed) for seed in range(2)]
    outs = [buffer.sample(BATCH_SIZE) for buffer in buffers]

    def sample(i: int) -> None:
        for _ in range(NUM_BATCHES):
            buffers[i].sample(BATCH_SIZE, out=outs[i])

    def both_at_once() -> None:
        threads = [threading.Thread(target=sample, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    one = min(seconds(lambda: sample(0)) for _ in range(NUM_ROUNDS))
    two = min(seconds(both_at_once) for _ in range(NUM_ROUNDS))
    result = {
        "batch_size": BATCH_SIZE,
        "batches_per_thread": NUM_BATCHES,
        "rounds": NUM_ROUNDS,
        "seconds_one_thread": round(one, 4),
        "seconds_two_threads": round(two, 4),
        "ratio": round(two / one, 2),
    }
    (ROOT / "bench/results/threads.json").write_text(json.dumps(result, indent=2) + "\n")
    print(result)


if __name__ == "__main__":
    main()
