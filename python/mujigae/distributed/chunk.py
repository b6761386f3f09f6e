"""Chunks of transitions on their way from an actor to a shard, every frame once.

    row      one transition of one lane; rows are in the order of time, and by lane within a step
    first    the row does not go on where the lane's row before it in the chunk ended: its whole observation is sent
    frames   of each row in order: the frames of its observation if it is `first`, then the newest frame of its successor

Of a stack of k frames only the newest is new, so a row of the middle of an episode costs one frame instead of 2 k. What
does not roll (a stack that is none) is sent whole, and comes back as it was. Shapes: R rows, T steps, F frames, K stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mujigae.replay.spaces import ArraySpec, ObsLayout

__all__ = ["Chunk", "Frames", "Rows", "Step", "decode", "encode"]


class Step(NamedTuple):
    """What one vector step gave, of R lanes; arrays as `ReplayBuffer.add` takes them."""

    env_ids: NDArray[np.int64]  # [R], lanes of the shard, each once
    obs: Any  # [R, *obs_shape], or a dict or tuple of those
    action: Any  # [R, *action_shape]
    reward: NDArray[np.float64]  # [R]
    next_obs: Any  # as obs
    terminated: NDArray[np.bool_]  # [R]
    truncated: NDArray[np.bool_]  # [R]
    priority: NDArray[np.float64] | None = None  # [R]; None: what the shard gives a new row
    extras: dict[str, Any] | None = None  # {name: [R, *shape]}


class Frames(NamedTuple):
    """One array of the observations of all rows."""

    pool: NDArray[Any]  # [F, *frame_shape]
    stack: int  # K; 1 where whole observations are the frames


class Rows(NamedTuple):
    """The transitions of a chunk."""

    sizes: tuple[int, ...]  # rows of each step, T
    env_ids: NDArray[np.int64]  # [R]
    is_first: NDArray[np.bool_]  # [R]
    frames: tuple[Frames, ...]  # one for each array of an observation
    action: NDArray[Any]  # [R, *action_shape]
    reward: NDArray[np.float64]  # [R]
    terminated: NDArray[np.bool_]  # [R]
    truncated: NDArray[np.bool_]  # [R]
    priority: NDArray[np.float64] | None  # [R]
    extras: dict[str, Any] | None  # {name: [R, *shape]}

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, extras left out."""
        arrays = (self.env_ids, self.is_first, self.action, self.reward, self.terminated, self.truncated)
        return sum(array.nbytes for array in (*arrays, *(frames.pool for frames in self.frames)))


class Chunk(NamedTuple):
    """Rows with what a shard has to know to store them once, and in order."""

    actor: int
    life: int  # of the process that collected them: larger than that of any before it
    sequence: int  # from 1 on, over all lives of the actor
    oldest: int  # the smallest sequence that the actor can still send
    first_row: int  # rows that the actor sent before this chunk, over all its lives
    lanes: tuple[int, ...] | None  # of the shard that are the actor's; None: all
    rows: Rows

    @property
    def num_rows(self) -> int:
        return len(self.rows.env_ids)


def encode(steps: Sequence[Step], layout: ObsLayout) -> Rows:
    """The rows of `steps` (at least one, of at least one row each); arrays are copied.

    Raises ValueError or TypeError for observations that are not of the layout: they are never cast.
    """
    obs = _all_rows("obs", [(step.obs, len(step.env_ids)) for step in steps], layout)
    next_obs = _all_rows("next_obs", [(step.next_obs, len(step.env_ids)) for step in steps], layout)
    env_ids = _joined([step.env_ids for step in steps])
    is_first = _starts(env_ids, obs, next_obs)
    pairs = zip(layout.specs, obs, next_obs, strict=True)
    return Rows(
        sizes=tuple(len(step.env_ids) for step in steps),
        env_ids=env_ids,
        is_first=is_first,
        frames=tuple(_frames(spec, before, after, is_first) for spec, before, after in pairs),
        action=_joined([step.action for step in steps]),
        reward=_joined([step.reward for step in steps]),
        terminated=_joined([step.terminated for step in steps]),
        truncated=_joined([step.truncated for step in steps]),
        priority=None if steps[0].priority is None else _joined([step.priority for step in steps]),
        extras=_joined_extras([step.extras for step in steps]),
    )


def decode(rows: Rows, layout: ObsLayout) -> Iterator[Step]:
    """The transitions again, in blocks of neighbouring steps of the same lanes: arrays [T, E, ...], `env_ids` [E]."""
    before, after = _places(rows)
    obs = [_stacks(frames, before[frames.stack]) for frames in rows.frames]
    next_obs = [_stacks(frames, after[frames.stack]) for frames in rows.frames]
    for first, last, num_steps in _blocks(rows):
        part, lead = slice(first, last), (num_steps, (last - first) // num_steps)

        def block(array: Any, part: slice = part, lead: tuple[int, int] = lead) -> Any:
            return array[part].reshape(*lead, *array.shape[1:])

        yield Step(
            env_ids=rows.env_ids[first : first + lead[1]],
            obs=layout.unflatten([block(array) for array in obs]),
            action=block(rows.action),
            reward=block(rows.reward),
            next_obs=layout.unflatten([block(array) for array in next_obs]),
            terminated=block(rows.terminated),
            truncated=block(rows.truncated),
            priority=None if rows.priority is None else block(rows.priority),
            extras=None if rows.extras is None else {name: block(v) for name, v in rows.extras.items()},
        )


def _joined(parts: Sequence[Any]) -> Any:
    return np.concatenate([np.asarray(part) for part in parts])


def _all_rows(name: str, parts: Sequence[tuple[Any, int]], layout: ObsLayout) -> list[Any]:
    """Each array of the observations of all steps, [R, *shape]."""
    leaves = [layout.rows(name, value, (num_rows,)) for value, num_rows in parts]
    return [_joined(arrays) for arrays in zip(*leaves, strict=True)]


def _joined_extras(extras: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    first = extras[0]
    if first is None:
        return None
    return {name: _joined([part[name] for part in extras if part is not None]) for name in first}


def _starts(env_ids: Any, obs: Sequence[Any], next_obs: Sequence[Any]) -> NDArray[np.bool_]:
    """[R]: no row of the lane before it in the chunk, or one whose successor is another observation."""
    previous = np.full(len(env_ids), -1)
    newest: dict[int, int] = {}
    for row, env in enumerate(env_ids.tolist()):
        previous[row] = newest.get(env, -1)
        newest[env] = row
    later = np.flatnonzero(previous >= 0)
    goes_on = np.ones(len(later), bool)
    for before, after in zip(obs, next_obs, strict=True):
        goes_on &= _equal(before[later], after[previous[later]])
    is_first = np.ones(len(env_ids), bool)
    is_first[later[goes_on]] = False
    return is_first


def _equal(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """[R]: whether rows have the same bytes, so that NaN equals itself and -0.0 differs from 0.0."""
    if len(a) == 0:
        return np.zeros(0, bool)
    bytes_a, bytes_b = (np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8) for x in (a, b))
    same: NDArray[np.bool_] = (bytes_a == bytes_b).all(axis=1)
    return same


def _frames(spec: ArraySpec, obs: Any, next_obs: Any, is_first: NDArray[np.bool_]) -> Frames:
    per_frame = spec.shape[0] // spec.stack if spec.stack > 1 else 0
    rolls = spec.stack > 1 and _equal(obs[:, per_frame:], next_obs[:, :-per_frame]).all()
    stack = spec.stack if rolls else 1
    shape = (per_frame, *spec.shape[1:]) if rolls else spec.shape
    old, new = obs.reshape(len(obs), stack, *shape), next_obs.reshape(len(obs), stack, *shape)
    newest_at = np.cumsum(1 + stack * is_first) - 1  # [R], after the frames of the row's own observation
    pool = np.empty((int(newest_at[-1]) + 1, *shape), spec.dtype)
    pool[newest_at] = new[:, -1]
    firsts = np.flatnonzero(is_first)
    pool[newest_at[firsts, None] - stack + np.arange(stack)] = old[firsts]
    return Frames(pool, stack)


def _places(rows: Rows) -> tuple[dict[int, NDArray[np.int64]], dict[int, NDArray[np.int64]]]:
    """For each stack K: where the frames of observations and of successors are in the pool, [R, K] each."""
    before, after = {}, {}
    for stack in {frames.stack for frames in rows.frames}:
        newest_at = (np.cumsum(1 + stack * rows.is_first) - 1).tolist()
        held: dict[int, list[int]] = {}
        old, new = [], []
        for env, is_first, newest in zip(
            rows.env_ids.tolist(), rows.is_first.tolist(), newest_at, strict=True
        ):
            frames = [*range(newest - stack, newest)] if is_first else held[env]
            held[env] = [*frames[1:], newest]
            old.append(frames)
            new.append(held[env])
        before[stack], after[stack] = np.array(old), np.array(new)
    return before, after


def _stacks(frames: Frames, places: NDArray[np.int64]) -> Any:
    """[R, *obs_shape]"""
    if frames.stack == 1:
        return frames.pool[places[:, 0]]
    stacks = frames.pool[places]  # [R, K, per_frame, ...]
    return stacks.reshape(len(stacks), stacks.shape[1] * stacks.shape[2], *stacks.shape[3:])


def _blocks(rows: Rows) -> Iterator[tuple[int, int, int]]:
    """(first row, row behind the last, number of steps) of neighbouring steps of the same lanes."""
    ends = np.cumsum(rows.sizes).tolist()
    steps = [(end - size, end) for size, end in zip(rows.sizes, ends, strict=True)]
    for _, group in groupby(steps, key=lambda step: rows.env_ids[step[0] : step[1]].tobytes()):
        members = [*group]
        yield members[0][0], members[-1][1], len(members)
