"""Gymnasium's vector environments, in each of their autoreset modes."""

from __future__ import annotations

from collections import Counter
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
    batch = buffer.sample(600)
    seen: Counter[tuple[int, ...]] = Counter()
    for i in range(600):
        env, episode, time = obs = tuple(int(x) for x in batch.obs[i])
        terminated = time + 1 == 3 + env and episode % 2 == 0
        require(time < 3 + env, f"{mode}: expected no step after the end of an episode, got one from {obs}")
        require(bool(batch.terminated[i]) == terminated, f"{mode}: expected terminated {terminated} at {obs}")
        successor = tuple(int(x) for x in batch.next_obs[i])
        expected = (env, episode, time + 1)
        require(successor == expected, f"{mode}: expected the successor {expected} of {obs}, got {successor}")
        seen[obs] += 1
    wanted = {(e, episode, time) for e in (0, 1) for episode in range(4) for time in range(3 + e)}
    require(
        wanted <= seen.keys(), f"{mode}: expected every step to be a row, got none of {wanted - seen.keys()}"
    )


def counters(mode: str) -> Any:
    """A vector environment of two counters; `NotOffered` where gymnasium is absent."""
    try:
        from mujigae.conformance.cases.counter import vector_of_counters
    except ImportError as error:
        raise NotOffered(f"gymnasium is not installed: {error}") from error
    return vector_of_counters(mode)
