"""What `compress=True` costs and gives, game by game: python bench/core/compression.py [num_steps] writes bench/results/compression.json

Random play through mujigae's own Atari preprocessing. For each game the same transitions go into two buffers, one plain and one
compressed; every batch drawn from the two is compared. Bytes are all that a buffer holds (rows, tree, frames, what each lane
keeps to encode), divided by its rows. Times are of the best of interleaved rounds, as ratios: appending a frame to a FrameRing
and drawing a batch of 32 into the same arrays, compressed over plain and over a memcpy of the same frames.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import mujigae
from mujigae.config.run import EnvConfig
from mujigae.envs import make

ROOT = Path(__file__).parents[2]
GAMES = (
    *("Pong", "Breakout", "Qbert", "MsPacman", "SpaceInvaders", "Seaquest"),
    *("MontezumaRevenge", "Asterix", "Enduro", "VideoPinball", "StarGunner", "BeamRider"),
)
STACK, N_STEP, BATCH_SIZE, NUM_ROUNDS, ROUND_FRAMES = 4, 3, 32, 30, 200
FRAME = (84, 84)


def transitions(game: str, num_steps: int) -> list[tuple[Any, ...]]:
    """Random play: (obs, action, reward, next_obs, terminated, truncated), one environment."""
    env = make(EnvConfig(f"ALE/{game}-v5", num_envs=1), training=True)
    rng, rows = np.random.default_rng(0), []
    env.stream.reset(seed=0)
    while len(rows) < num_steps:
        _, *row, _ = env.stream.step(rng.integers(0, env.action_space.n, 1))
        if len(row[0]):
            rows.append(tuple(row))
    env.close()
    return rows


def buffer(num_rows: int, *, compress: bool) -> mujigae.PrioritizedReplayBuffer:
    space = ((STACK, *FRAME), np.uint8)
    return mujigae.PrioritizedReplayBuffer(
        num_rows, space, ((), np.int64), frame_stack=STACK, n_step=N_STEP, compress=compress, seed=0
    )


def best_seconds(works: list[Callable[[], Any]]) -> list[float]:
    """Of each, the rounds of all in turns: other work on the machine only ever makes a round longer."""
    best = [float("inf")] * len(works)
    for _ in range(NUM_ROUNDS):
        for i, work in enumerate(works):
            began = time.perf_counter()
            work()
            best[i] = min(best[i], time.perf_counter() - began)
    return best


def check_equal(plain: Any, coded: Any) -> None:
    for _ in range(200):
        for name, a, b in zip(mujigae.Batch._fields, plain.sample(64), coded.sample(64), strict=True):
            assert np.array_equal(a, b), name


def measure(rows: list[tuple[Any, ...]]) -> dict[str, float]:
    plain, coded = (buffer(len(rows), compress=compress) for compress in (False, True))
    for row in rows:
        for one in (plain, coded):
            one.add(*row)
    check_equal(plain, coded)
    bytes_per_transition = {"plain": plain.nbytes / len(plain), "compressed": coded.nbytes / len(coded)}

    outs = [one.sample(BATCH_SIZE) for one in (plain, coded)]
    windows = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE, 2, STACK, *FRAME), dtype=np.uint8)
    window_copy = np.empty_like(windows)
    frames = [row[3][0, -1].copy() for row in rows[:ROUND_FRAMES]]
    frame_copy = np.empty((ROUND_FRAMES, *FRAME), np.uint8)
    rings = [
        mujigae.FrameRing(4 * ROUND_FRAMES, FRAME, STACK, compress=compress) for compress in (False, True)
    ]
    for ring in rings:
        ring.start(np.stack(frames[:STACK]))

    def append_to(ring: mujigae.FrameRing) -> None:
        for frame in frames:
            ring.append(frame)

    def copy_frames() -> None:
        for i, frame in enumerate(frames):
            np.copyto(frame_copy[i], frame)

    append_plain, append_coded, memcpy_frames, sample_plain, sample_coded, memcpy_windows = best_seconds(
        [
            *(partial(append_to, ring) for ring in rings),
            copy_frames,
            *(
                partial(one.sample, BATCH_SIZE, out=out)
                for one, out in zip((plain, coded), outs, strict=True)
            ),
            lambda: np.copyto(window_copy, windows),
        ]
    )
    return {
        "bytes_per_transition": bytes_per_transition["compressed"],
        "bytes_per_transition_plain": bytes_per_transition["plain"],
        "append_over_plain": append_coded / append_plain,
        "append_over_memcpy": append_coded / memcpy_frames,
        "sample_over_plain": sample_coded / sample_plain,
        "sample_over_memcpy": sample_coded / memcpy_windows,
    }


def main() -> None:
    num_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    games = {}
    for game in GAMES:
        games[game] = {name: round(value, 3) for name, value in measure(transitions(game, num_steps)).items()}
        print(game, games[game], flush=True)
    mean = {name: round(float(np.mean([game[name] for game in games.values()])), 3) for name in games["Pong"]}
    print("mean", mean)
    result = {
        "num_steps": num_steps,
        "n_step": N_STEP,
        "batch_size": BATCH_SIZE,
        "instruction_set": mujigae.build_info()["active_instruction_set"],
        "mean": mean,
        "games": games,
    }
    (ROOT / "bench/results/compression.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
