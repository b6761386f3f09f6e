"""Rows that name themselves, for the tests of shards. NumPy only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mujigae
from mujigae.distributed.chunk import Step, encode
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Shard

STACK, FRAME = 3, (2, 4)
NUM_LANES, EPISODE_STEPS = 2, 7


class Space(NamedTuple):
    shape: tuple[int, ...]
    dtype: Any


OBS, ACTION = Space((STACK, *FRAME), np.uint8), Space((), np.int64)


def make_buffer(path: Path | None, capacity: int = 100_000, **options: Any) -> Any:
    arguments: dict[str, Any] = {"num_envs": NUM_LANES, "frame_stack": STACK, "seed": 0, "beta": 1.0}
    return mujigae.PrioritizedReplayBuffer(capacity, OBS, ACTION, path=path, **arguments | options)


def frame(lane: int, row: int, after_end: bool = False) -> Any:
    """What a lane shows before its row, or after the last of an episode; unlike any other."""
    out = np.full(FRAME, 2 * lane + after_end + 1, np.uint8)
    out.reshape(-1)[-4:] = np.frombuffer(np.int32(row).tobytes(), np.uint8)
    return out


def observation(lane: int, row: int) -> tuple[Any, Any]:
    place = row % EPISODE_STEPS
    frames = [frame(lane, row - age) if age <= place else np.zeros(FRAME, np.uint8) for age in range(STACK)]
    newest = frame(lane, row + 1) if place < EPISODE_STEPS - 1 else frame(lane, row, after_end=True)
    stack = np.stack(frames[::-1])
    return stack, np.concatenate([stack[1:], newest[None]])


def step_of(row: int, lanes: tuple[int, ...] = (0, 1), first_number: int = 0) -> Step:
    """Row `row` of each lane; its action is `first_number` + row, its priority grows with it."""
    obs, next_obs = (np.stack(part) for part in zip(*(observation(e, row) for e in lanes), strict=True))
    numbers = np.full(len(lanes), first_number + row)
    ends = np.full(len(lanes), row % EPISODE_STEPS == EPISODE_STEPS - 1)
    never = np.zeros(len(lanes), bool)
    return Step(np.array(lanes), obs, numbers, numbers * 1.0, next_obs, ends, never, 1.0 + numbers % 5)


def rows_of(first: int, num_steps: int) -> Any:
    layout = make_buffer(None, 10)._spec.obs
    return encode([step_of(row) for row in range(first, first + num_steps)], layout)


def send_all(sender: Sender, shard: Shard) -> None:
    for _ in range(1000):
        chunk = sender.next()
        if chunk is None:
            return
        sender.answered(chunk.sequence, shard.add(chunk))
    raise AssertionError("the sender never comes to an end")


def stored(buffer: Any) -> list[list[int]]:
    """The numbers of the rows of each lane, in order; every one is checked."""
    assert buffer.check_valid(), buffer.check_valid().reason
    lanes: list[list[int]] = [[] for _ in range(buffer.num_envs)]
    for episode in buffer.episodes():
        for at, number in enumerate(episode.action.tolist()):
            obs, next_obs = observation(episode.env_id, number)
            assert np.array_equal(episode.obs[at], obs)
            assert np.array_equal(episode.obs[at + 1], next_obs)
            assert episode.reward[at] == number
        lanes[episode.env_id] += episode.action.tolist()
    return lanes
