"""What shards in other processes serve beside a local buffer, and what the parts of their calls cost:

    python bench/distributed/serving.py bench/results/<machine>/distributed_serving.json

All hold the same rows of 84x84 frames in stacks of four, in a file, and draw batches of 512. A shard in a process of this machine
and one in Ray draw their batches into memory that they share with the learner; and, as for a learner on another machine, those
of Ray go through its object store (one copy, which is measured by itself too). Every batch is checked by one sum over its
newest frames, on all sides. The four are measured by turns, several times; each begins with nothing under way.
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
from mujigae.distributed.calls import Processes
from mujigae.distributed.chunk import Step, decode, encode
from mujigae.distributed.ledger import Standing
from mujigae.distributed.local_processes import local_processes
from mujigae.distributed.puller import MAX_BATCHES, MAX_IN_FLIGHT, Puller
from mujigae.distributed.ray_processes import RayProcesses, ray_processes
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Elsewhere
from mujigae.distributed.shard_server import ShardPlan, ShardServer
from mujigae.replay.spec import BufferSpec

STACK, SIDE, NUM_LANES, CHUNK_STEPS = 4, 84, 8, 8
BATCH_SIZE, NUM_BATCHES = 512, 240


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
    with (
        tempfile.TemporaryDirectory(prefix="serving-") as folder,
        local_processes() as processes,
        ray_processes("serving", None, 1, 1 << 30) as ray,
    ):
        local = mujigae.PrioritizedReplayBuffer._of_spec(spec, (os.fsencode(Path(folder) / "local"), "new"))
        fill_local(local, num_rows, spec)
        near = Subject(processes, Path(folder) / "processes", spec, num_rows)
        far = Subject(ray, Path(folder) / "ray", spec, num_rows)
        sides = {
            "local": lambda: local_batches(local),
            "processes": lambda: shared_batches(near.puller),
            "ray": lambda: shared_batches(far.puller),
            "ray_stored": lambda: stored_batches(ray, far.shard),
        }
        rounds = []
        for _ in range(num_rounds):
            rounds.append({})
            for name, batches in sides.items():
                rounds[-1][name] = rate(batches())
                near.settle()
                far.settle()
        assert not any(near.puller._is_far + far.puller._is_far)
        parts = {"processes": near.parts(), "ray": far.parts()}
        parts["ray"] |= copy_parts(ray, local.sample(BATCH_SIZE))
    return {
        "batch_size": BATCH_SIZE,
        "batches_of_a_call": MAX_BATCHES,
        "rows": num_rows,
        "rows_per_second": {name: [one[name] for one in rounds] for name in sides},
        "share_of_local": {
            name: statistics.median(one[name] / one["local"] for one in rounds) for name in sides
        },
        "chunk_rows": CHUNK_STEPS * NUM_LANES,
        "raw_bytes_of_a_row": 2 * STACK * SIDE * SIDE,
        "parts": parts,
    }


class Subject:
    """A shard in a process of its own, filled, and the puller that asks it."""

    def __init__(self, processes: Processes, path: Path, spec: BufferSpec, num_rows: int) -> None:
        self.processes = processes
        self.shard = processes.start("shard", ShardServer, ShardPlan(str(path), spec, 0, 1e9, 1, 1e18))
        self.adding = self._fill(num_rows, spec)
        self.puller = Puller(processes, [self.shard], BATCH_SIZE, seed=0)
        self.puller.shares.known = [self.ask("look").share]

    def ask(self, method: str, *arguments: Any) -> Any:
        return self.processes.answer(self.processes.call(self.shard, method, *arguments), 60.0)

    def _fill(self, num_rows: int, spec: BufferSpec) -> dict[str, float]:
        """What chunks cost on the way."""
        sender, seconds, num_bytes = Sender(0, 1, Standing()), 0.0, 0
        for rows in chunks(num_rows, spec):
            began = time.perf_counter()
            sender.put(rows)
            chunk = sender.next()
            assert chunk is not None
            sender.answered(chunk.sequence, self.ask("add", chunk))
            seconds += time.perf_counter() - began
            num_bytes += rows.nbytes
        return {
            "chunk_bytes_of_a_row": num_bytes / num_rows,
            "added_rows_per_second": num_rows / seconds,
        }

    def settle(self) -> None:
        """Takes what is still under way, so that nothing is drawn ahead of a round or beside another side's."""
        while self.puller._pulls or self.puller._ready:
            self.puller.take(1.0)

    def parts(self) -> dict[str, float]:
        """A call without anything, one by one and many at once."""
        began = time.perf_counter()
        for _ in range(300):
            self.ask("standing", 0)
        one_by_one = (time.perf_counter() - began) / 300
        began = time.perf_counter()
        calls = [self.processes.call(self.shard, "standing", 0) for _ in range(1000)]
        for call in calls:
            self.processes.answer(call, 60.0)
        many = (time.perf_counter() - began) / 1000
        return {**self.adding, "call_seconds": one_by_one, "call_seconds_many_at_once": many}


def fill_local(buffer: Any, num_rows: int, spec: BufferSpec) -> None:
    for rows in chunks(num_rows, spec):
        for block in decode(rows, spec.obs):
            buffer.extend(*block[1:7], block.env_ids, priority=block.priority)


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


def stored_batches(ray: RayProcesses, shard: Any) -> Any:
    """As a learner on another machine takes them: two calls under way."""
    arguments = shard, "pull", BATCH_SIZE, Elsewhere(), (None,) * MAX_BATCHES
    num_calls = NUM_BATCHES // MAX_BATCHES
    calls = [ray.call(*arguments) for _ in range(MAX_IN_FLIGHT)]
    for number in range(num_calls):
        answer = ray.answer(calls.pop(0), 60.0)
        if number + MAX_IN_FLIGHT < num_calls:
            calls.append(ray.call(*arguments))
        for pulled in answer:
            yield pulled.batch


def rate(batches: Any) -> float:
    """Rows a second; what is read of each batch is the same on both sides."""
    began, checked = time.perf_counter(), 0
    for batch in batches:
        checked += int(batch.obs[:, -1, 0].sum()) + int(batch.next_obs[:, -1, 0].sum())
    assert checked > 0
    return NUM_BATCHES * BATCH_SIZE / (time.perf_counter() - began)


def copy_parts(ray: RayProcesses, batch: Any) -> dict[str, float]:
    """The copy of a batch into the object store, and out of it without a copy."""
    puts, gets = [], []
    for _ in range(20):
        began = time.perf_counter()
        reference = ray.put(batch)
        puts.append(time.perf_counter() - began)
        began = time.perf_counter()
        ray.get(reference, 60.0)
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
