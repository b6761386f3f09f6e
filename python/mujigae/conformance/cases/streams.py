"""Gymnasium's vector environments, in each of their autoreset modes."""

from __future__ import annotations

from typing import Any

from mujigae.conformance.adapter import Config, NotOffered
from mujigae.conformance.case import Subject, case
from mujigae.conformance.ledger import require

NUM_STEPS = 40
MODES = ("NEXT_STEP", "SAME_STEP", "DISABLED")


@case("T9", "Farama-Foundation/Gymnasium#1103; sail-sg/envpool#194; vwxyzjn/cleanrl#499")
def all_autoreset_modes_give_the_same_rows(subject: Subject) -> None:
    """The step after an end is no transition in NEXT_STEP, and in SAME_STEP the true last observation is in the info.
    Rows are the same in all modes, with true successors and without phantom steps."""
    for mode in MODES:
        buffer = subject.make(Config(1000, frame_shape=(3,), num_envs=2))
        buffer.collect(counters(mode), NUM_STEPS)
        _check(buffer, mode)


def _check(buffer: Any, mode: str) -> None:
    """obs is (environment, episode, time) in bytes; episodes of environment e end after 3 + e steps, by turns."""
    missing = {(e, episode, time) for e in (0, 1) for episode in range(4) for time in range(3 + e)}
    for _ in range(10):  # of 600 draws each from about 80 rows
        missing -= _rows(buffer.sample(600), mode)
    require(not missing, f"{mode}: expected every step to be a row, got none of {missing}")


def _rows(batch: Any, mode: str) -> set[tuple[int, ...]]:
    """The rows in a batch; `Failed` unless each is a transition that happened."""
    seen = set()
    for i, terminated in enumerate(batch.terminated):
        env, episode, time = obs = tuple(int(x) for x in batch.obs[i])
        ends = time + 1 == 3 + env and episode % 2 == 0
        require(time < 3 + env, f"{mode}: expected no step after the end of an episode, got one from {obs}")
        require(bool(terminated) == ends, f"{mode}: expected terminated {ends} at {obs}")
        successor = tuple(int(x) for x in batch.next_obs[i])
        expected = (env, episode, time + 1)
        require(successor == expected, f"{mode}: expected the successor {expected} of {obs}, got {successor}")
        seen.add(obs)
    return seen


def counters(mode: str) -> Any:
    """A vector environment of two counters; `NotOffered` where gymnasium is absent."""
    try:
        from mujigae.conformance.cases.counter import vector_of_counters
    except ImportError as error:
        raise NotOffered(f"gymnasium is not installed: {error}") from error
    return vector_of_counters(mode)
