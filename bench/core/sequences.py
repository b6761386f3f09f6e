"""Sequences out of a replay buffer, as recurrent agents learn from them: so many steps, and a burn-in before them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bench.core.stream import EPISODE_STEPS, VectorStream, array
from bench.core.subject import GAMMA, Rows, SequenceReplay, Subject
from bench.core.workloads import Operation

LENGTH, BURN_IN = 40, 20
NUM_STEPS = BURN_IN + LENGTH


class Sequences(NamedTuple):
    """B sequences of T = NUM_STEPS steps; what a library does not give is None."""

    obs: Any  # [B, T + 1, 17], the last is the successor
    action: Any  # [B, T, 6], or T + 1
    reward: Any  # [B, T], or T + 1
    discount: Any = None  # [B, T], or T + 1
    mask: Any = None  # [B, T], False where a step is none of the sequence's; all are where this is None


class SequenceWork:
    """A buffer full of rows of 17 floats, in episodes of EPISODE_STEPS."""

    def __init__(self, subject: Subject, num_rows: int) -> None:
        self.stream = VectorStream(num_rows, 17, 6)
        self.keeps_to_episodes = subject.keeps_to_episodes
        self.replay: SequenceReplay = subject.sequences(num_rows, LENGTH, BURN_IN)
        for rows in self.stream.chunks(num_rows):
            self.replay.extend(rows)

    def operation(self, name: str, batch_size: int) -> Operation:
        assert name == "sample"
        return SampleSequences(self, batch_size)


class SampleSequences(Operation):
    """A batch of sequences."""

    def __init__(self, work: SequenceWork, batch_size: int) -> None:
        self.work, self.batch_size = work, batch_size

    def run(self, times: int) -> None:
        sample, batch_size = self.work.replay.sample, self.batch_size
        for _ in range(times):
            self.drawn = sample(batch_size)

    def check(self) -> None:
        """Every step is one that was added, and follows the one before it."""
        drawn, stream = (
            Sequences(*(None if part is None else array(part) for part in self.drawn)),
            self.work.stream,
        )
        assert drawn.obs.shape == (self.batch_size, NUM_STEPS + 1, 17), drawn.obs.shape
        is_step = np.ones((self.batch_size, NUM_STEPS), bool) if drawn.mask is None else drawn.mask
        first = is_step.argmax(1)
        number = drawn.obs[np.arange(self.batch_size), first, 0].astype(np.int64)
        row = (number - first)[:, None] + np.arange(NUM_STEPS)
        assert is_step.mean() > 0.9
        _check_steps(drawn, stream, row, is_step)
        if self.work.keeps_to_episodes:
            assert (
                np.where(is_step, row, number[:, None]) // EPISODE_STEPS == number[:, None] // EPISODE_STEPS
            ).all()


def _check_steps(drawn: Sequences, stream: VectorStream, row: Any, is_step: Any) -> None:
    """Steps [B, T] are rows `row` of the stream where `is_step`; their successors are those of the stream as well."""
    at = row[is_step]
    assert np.array_equal(drawn.obs[:, :-1][is_step], stream.obs[at]), "obs of another step"
    assert np.array_equal(drawn.obs[:, 1:][is_step], stream.obs[at + 1]), "successor of another step"
    assert np.array_equal(drawn.action[:, :NUM_STEPS][is_step], stream.action[at]), "action of another step"
    assert np.array_equal(drawn.reward[:, :NUM_STEPS][is_step], stream.reward[at]), "reward of another step"
    if drawn.discount is not None:
        expected = GAMMA * ~stream.terminated[at]
        assert np.allclose(drawn.discount[:, :NUM_STEPS][is_step], expected), "discount"


class RowArrays:
    """The columns that a sequence is made of, in arrays as long as the buffer; what the floor copies from."""

    def __init__(self, capacity: int) -> None:
        self.obs = np.zeros((capacity + 1, 17), np.float32)
        self.action = np.zeros((capacity, 6), np.float32)
        self.reward = np.zeros(capacity, np.float32)
        self.discount = np.zeros(capacity, np.float32)
        self.size = 0

    def extend(self, rows: Rows) -> None:
        at = slice(self.size, self.size + len(rows.reward))
        self.obs[at], self.obs[at.stop] = rows.obs, rows.next_obs[-1]
        self.action[at], self.reward[at], self.discount[at] = (
            rows.action,
            rows.reward,
            GAMMA * ~rows.terminated,
        )
        self.size = at.stop
