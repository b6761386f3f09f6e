"""All that needs a GPU, in one command of under eight minutes: writes one JSON and ends by itself.

    python bench/gpu/run.py gpu.json                    needs CUDA and the extra atari; torchrl is measured where it is installed
    python bench/gpu/run.py cpu.json --device cpu --minutes 0.5    the same steps, small, to see that they work

Each part has a share of the time and leaves what it has measured, or why it could not; the file is written anew after each.

    tests       the project's own tests of devices, of mirrored frames and of recorded updates
    samples     batches of 32 and 256 stacks of four 84 x 84 frames on the device: staged, mirrored, torchrl's storage on the device
    rates       steps and updates a second of Rainbow on real Pong with one switch after the other, and what the last one makes of
                10 million frames
    pong        `mujigae train pong` on the device until its last 100 games are at 18 or the time is over
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import mujigae
from bench.core.hardware import describe
from mujigae.agents.presets import resolve
from mujigae.training.loop import Training, build, run

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("test_device.py", "test_device_frames.py", "test_switches.py", "test_noisy.py", "test_readback.py")
FRAMES = 10_000_000  # of the run that the rates are extrapolated to
FRAMES_PER_STEP = 4
Results = dict[str, Any]

# One after the other, each with those before it; the last is what bare `--device cuda` turns on, with more environments.
SWITCHES: dict[str, dict[str, Any]] = {
    "plain": {"cuda_graphs": False, "overlap": False, "frames_on_device": False, "channels_last": False},
    "channels_last": {"channels_last": True},
    "bfloat16": {"precision": "bfloat16"},
    "frames_on_device": {"frames_on_device": True},
    "cuda_graphs": {"cuda_graphs": True},
    "overlap": {"overlap": True},
    "64 environments, a batch of 256": {"num_envs": 64, "batch_size": 256, "learn_period_steps": 32},
}
SHARES = {"tests": 0.15, "samples": 0.1, "rates": 0.35, "pong": 0.4}


class Clock:
    """The time that is left, shared out."""

    def __init__(self, minutes: float) -> None:
        self._total, self._began = 60 * minutes, time.monotonic()

    def seconds(self, part: str) -> float:
        """The share of `part`, or what is left where that is less."""
        left = self._total - (time.monotonic() - self._began)
        return max(min(SHARES[part] * self._total, left), 0.0)


def main() -> int:
    options = parser().parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("device: expected a CUDA device that is there; --device cpu tries the script out")
    clock = Clock(options.minutes)
    results: Results = {
        "machine": describe(),
        "device": device_name(options.device),
        "torch": torch.__version__,
    }
    for name, part in PARTS.items():
        seconds = clock.seconds(name)
        results[name] = measured(part, options.device, seconds)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{name}: {json.dumps(results[name])[:300]}", flush=True)
    return 0


def measured(part: Callable[[str, float], Results], device: str, seconds: float) -> Results:
    """What a part says, or why it could not."""
    began = time.monotonic()
    try:
        told = part(device, seconds)
    except Exception as error:  # whatever it is, the other parts are still to be measured
        told = {"reason": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    return {**told, "seconds": round(time.monotonic() - began, 1)}


def tests(device: str, seconds: float) -> Results:
    """The tests in a process of their own; those that need CUDA skip themselves without it."""
    command = [sys.executable, "-m", "pytest", "-q", *(f"tests/learn/{name}" for name in TESTS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    lines = done.stdout.strip().splitlines()
    return {"passed": done.returncode == 0, "last_line": lines[-1] if lines else done.stderr[-300:]}


def samples(device: str, seconds: float) -> Results:
    """Microseconds of one batch, the least of as many as fit."""
    num_rows = 100_000 if device.startswith("cuda") else 2_000
    makers: dict[str, Callable[[], Callable[[int], Any]]] = {
        "staged": lambda: ours(device, num_rows, frames_on_device=False),
        "frames_on_device": lambda: ours(device, num_rows, frames_on_device=True),
        "torchrl": lambda: torchrl_storage(device, min(num_rows, 20_000)),
    }
    each = seconds / len(makers) / 4
    told: Results = {}
    for name, make in makers.items():
        try:
            sample = make()
        except ImportError as error:
            told[name] = {"reason": str(error)}
            continue
        told[name] = {str(size): microseconds(sample, size, device, each) for size in (32, 256)}
    return told


def ours(device: str, num_rows: int, *, frames_on_device: bool) -> Callable[[int], Any]:
    space, action = ((4, 84, 84), np.uint8), ((), np.int64)
    on_device = {"device": device, "frames_on_device": frames_on_device}
    buffer = mujigae.PrioritizedReplayBuffer(num_rows, space, action, frame_stack=4, seed=0, **on_device)
    for obs, next_obs in stacks(num_rows):
        buffer.add(obs, 0, 0.0, next_obs, False, False)
    return buffer.sample


def stacks(num_rows: int) -> Iterator[tuple[Any, Any]]:
    """Rolling stacks of a thousand random frames."""
    frames = np.random.default_rng(0).integers(256, size=(1_000, 84, 84), dtype=np.uint8)
    stack = frames[:4]
    for t in range(num_rows):
        following = np.concatenate([stack[1:], frames[None, t % len(frames)]])
        yield stack, following
        stack = following


def torchrl_storage(device: str, num_rows: int) -> Callable[[int], Any]:
    """Whole stacks in a LazyTensorStorage on the device, priorities by torchrl's trees."""
    from tensordict import TensorDict
    from torchrl.data import LazyTensorStorage, TensorDictPrioritizedReplayBuffer

    storage = LazyTensorStorage(num_rows, device=device)
    buffer = TensorDictPrioritizedReplayBuffer(alpha=0.6, beta=0.4, storage=storage)
    for _ in range(num_rows // 1_000):
        shape = (1_000, 4, 84, 84)
        images = {name: torch.zeros(shape, dtype=torch.uint8) for name in ("obs", "next_obs")}
        numbers = {"action": torch.zeros(1_000, dtype=torch.int64), "reward": torch.zeros(1_000)}
        buffer.extend(TensorDict({**images, **numbers}, batch_size=1_000))
    return buffer.sample


def microseconds(sample: Callable[[int], Any], size: int, device: str, seconds: float) -> float:
    """The least time of one batch of `size`, the device's own work included."""
    least, until = float("inf"), time.monotonic() + seconds
    while time.monotonic() < until or least == float("inf"):
        began = time.perf_counter()
        sample(size)
        wait_for(device)
        least = min(least, time.perf_counter() - began)
    return round(1e6 * least, 1)


def rates(device: str, seconds: float) -> Results:
    """Of each set of switches once updates are under way; what cannot run here says why."""
    told: Results = {}
    chosen: dict[str, Any] = {}
    for name, switches in SWITCHES.items():
        chosen = chosen | switches
        told[name] = measured(partial(rate, **chosen), device, seconds / len(SWITCHES))
    fastest = max((row.get("steps_per_second", 0.0) for row in told.values()), default=0.0)
    return {**told, "minutes_of_10M_frames": extrapolated(fastest)}


def rate(device: str, seconds: float, **switches: Any) -> Results:
    """Steps and updates a second of full Rainbow on Pong, without what it takes to begin."""
    small = {"min_replay_steps": 2_000, "capacity": 50_000, "steps": 10**9, "checkpoint_period_steps": 10**9}
    small |= {"log_period_steps": 10**9, "beta_steps": 10**6}
    training = build(resolve("rainbow", "ALE/Pong-v5", {"device": device, **small, **switches}))
    try:
        return counted(training, seconds, device)
    finally:
        training.environment.close()


def counted(training: Training, seconds: float, device: str) -> Results:
    """Lets a run begin to learn, then counts until its time is over."""
    began, until = time.monotonic(), time.monotonic() + seconds
    first: tuple[float, int, int] | None = None
    counters = training.counters
    for _ in run(training, lambda: time.monotonic() > until):
        if first is None and counters.updates >= 20:
            wait_for(device)
            first = (time.monotonic(), counters.steps, counters.updates)
    wait_for(device)
    if first is None or counters.updates == first[2]:
        return {"reason": f"no update in {time.monotonic() - began:.0f} seconds"}
    passed = time.monotonic() - first[0]
    return {
        "steps_per_second": round((counters.steps - first[1]) / passed, 1),
        "updates_per_second": round((counters.updates - first[2]) / passed, 1),
    }


def extrapolated(steps_per_second: float) -> float | None:
    """The minutes of 10 million frames at this rate; None where there is none."""
    if steps_per_second <= 0:
        return None
    return round(FRAMES / FRAMES_PER_STEP / steps_per_second / 60, 1)


def pong(device: str, seconds: float) -> Results:
    """Trains until the preset's stop score, or as long as there is time."""
    budget = {"device": device, "minutes": max(seconds / 60, 0.01), "checkpoint_period_steps": 10**9}
    training = build(resolve("pong", overrides=budget))
    began, until = time.monotonic(), time.monotonic() + seconds
    try:
        for _ in run(training, lambda: time.monotonic() > until):
            pass
    finally:
        training.environment.close()
    scores = training.counters.recent_scores
    stop = training.config.budget.stop_score
    mean = sum(scores) / len(scores) if scores else None
    return {
        "reached": mean is not None and stop is not None and len(scores) == scores.maxlen and mean >= stop,
        "mean_of_last_games": mean,
        "games": len(scores),
        "steps": training.counters.steps,
        "minutes": round((time.monotonic() - began) / 60, 2),
    }


PARTS: dict[str, Callable[[str, float], Results]] = {
    "tests": tests,
    "samples": samples,
    "rates": rates,
    "pong": pong,
}


def wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("out", type=Path, help="the results, JSON")
    made.add_argument("--device", default="cuda", help="torch device")
    made.add_argument("--minutes", type=float, default=7.5, help="for all of it")
    return made


if __name__ == "__main__":
    sys.exit(main())
