"""What one vector step of the `pong` preset is made of: choosing actions, the emulator, and one update.

    python bench/train/update_cost.py          writes bench/results/update_cost.json

Every variant runs in a process of its own, in turn, several times over; the table has the medians. Each update is checked
to give finite priorities of the right shape.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "results/update_cost.json"
NUM_ROUNDS, NUM_STEPS, NUM_WARM_UP = 3, 25, 5

WIDE, NARROW = (32, 64, 64), (16, 32, 32)
VARIANTS: list[dict[str, Any]] = [
    {"channels": NARROW, "batch_size": 128, "precision": "float32", "channels_last": True, "num_threads": 2},
    {"channels": NARROW, "batch_size": 128, "precision": "float32", "channels_last": False, "num_threads": 2},
    {"channels": NARROW, "batch_size": 128, "precision": "float32", "channels_last": True, "num_threads": 1},
    {"channels": NARROW, "batch_size": 64, "precision": "float32", "channels_last": True, "num_threads": 2},
    {"channels": NARROW, "batch_size": 128, "precision": "bfloat16", "channels_last": True, "num_threads": 2},
    {"channels": WIDE, "batch_size": 128, "precision": "float32", "channels_last": True, "num_threads": 2},
    {"channels": WIDE, "batch_size": 64, "precision": "float32", "channels_last": True, "num_threads": 2},
]


def measure(variant: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of each part, the median over NUM_STEPS vector steps."""
    from mujigae.networks import torsos
    from mujigae.training.loop import build
    from mujigae.training.presets import resolve

    overrides = {name: value for name, value in variant.items() if name != "channels"}
    layers = zip(variant["channels"], torsos.SmallPixels.conv_layers, strict=True)
    torsos.SmallPixels.conv_layers = tuple(
        torsos.ConvLayer(channels, layer.kernel, layer.stride) for channels, layer in layers
    )
    training = build(resolve("pong", None, {**overrides, "capacity": 5_000}))
    stream, agent, buffer = training.environment.stream, training.agent, training.buffer
    stream.reset(0)
    times: dict[str, list[float]] = {"act": [], "environment": [], "add": [], "sample": [], "update": []}
    for step in range(400):
        is_timed = step >= 400 - NUM_STEPS - NUM_WARM_UP
        marks = [time.perf_counter()]
        action = agent.act(stream.obs, 0.1 if is_timed else 1.0)
        marks.append(time.perf_counter())
        rows = stream.step(action)
        marks.append(time.perf_counter())
        if len(rows.env_ids):
            fields = (rows.obs, rows.action, rows.reward, rows.next_obs, rows.terminated, rows.truncated)
            buffer.add(*fields, env_ids=rows.env_ids)
        marks.append(time.perf_counter())
        if not is_timed:
            continue
        batch = buffer.sample(variant["batch_size"])
        marks.append(time.perf_counter())
        learned = agent.learn(batch)
        priorities = learned.td.numpy()
        assert priorities.shape == (variant["batch_size"],)
        assert (priorities >= 0).all()
        buffer.update_priorities(batch.key, priorities)
        marks.append(time.perf_counter())
        for name, start, end in zip(times, marks, marks[1:], strict=True):
            times[name].append(1e3 * (end - start))
    return {name: statistics.median(values[NUM_WARM_UP:]) for name, values in times.items()}


def in_a_process_of_its_own(variant: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, __file__, json.dumps(variant)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    times: dict[str, float] = json.loads(result.stdout)
    return times


def main() -> None:
    if len(sys.argv) == 2:
        print(json.dumps(measure(json.loads(sys.argv[1]))))
        return
    rounds = [[in_a_process_of_its_own(variant) for variant in VARIANTS] for _ in range(NUM_ROUNDS)]
    rows = []
    for i, variant in enumerate(VARIANTS):
        times = {name: statistics.median(one[i][name] for one in rounds) for name in rounds[0][i]}
        rows.append({**variant, "milliseconds": {name: round(value, 2) for name, value in times.items()}})
    machine = next(
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    )
    result = {
        "machine": {"processor": machine.partition(":")[2].strip(), "cores": len(os.sched_getaffinity(0))},
        "packages": {package: version(package) for package in ("mujigae", "torch", "ale-py", "numpy")},
        "rows": rows,
    }
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    print(OUT)


if __name__ == "__main__":
    main()
