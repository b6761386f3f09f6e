"""Priorities: what is refused, which rows they reach, what a new row gets."""

from __future__ import annotations

from typing import Any

import numpy as np

from mujigae.conformance.adapter import Adapter, NotOffered
from mujigae.conformance.case import Subject, case
from mujigae.conformance.ledger import Identity, Ledger, require

NUM_DRAWS = 8000
SIGMAS = 5.0  # a case that draws is wrong about a correct buffer once in millions of runs


def keys_of(ledger: Ledger) -> dict[Identity, Any]:
    """One key of each row that can be drawn, found by drawing: so many times that none is missed, among equal priorities.

    Which of the newest rows can be drawn differs between libraries, so there is no list to compare with.
    """
    keys: dict[Identity, Any] = {}
    batch_size = max(256, len(ledger.held()))
    for _ in range(40):
        batch = ledger.buffer.sample(batch_size)
        if batch.key is None:
            raise NotOffered("keys of rows")
        keys.update(zip(ledger.identities(batch.obs), batch.key, strict=True))
    return keys


def set_all(ledger: Ledger, value: float) -> dict[Identity, Any]:
    """Gives every row the same priority; their keys, oldest row first."""
    keys = dict(sorted(keys_of(ledger).items()))
    ledger.buffer.update_priorities(np.array(list(keys.values())), np.full(len(keys), value))
    return keys


def require_share(ledger: Ledger, rows: list[Identity], expected: float, what: str) -> None:
    """The rows come in this share of the draws."""
    seen = ledger.count(NUM_DRAWS, 500)
    got = sum(seen[at] for at in rows) / NUM_DRAWS
    sigma = (expected * (1 - expected) / NUM_DRAWS) ** 0.5
    require(
        abs(got - expected) <= SIGMAS * sigma + 1e-3,
        f"expected {what} in {expected:.3f} of the draws, got {got:.3f}",
    )


def refusal(buffer: Adapter, key: Any, priorities: Any) -> str:
    """What the buffer says to an update; "" when it takes it."""
    try:
        buffer.update_priorities(key, priorities)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@case("B16", "cpprb 11.0.0; torchrl 0.14.1; flashbax 0.1.3; tianshou 2.0.1")
def impossible_priorities_leave_the_buffer_as_it_was(subject: Subject) -> None:
    """One NaN of a diverging network decides over every later draw, if it gets into the tree.
    It is refused at the update (with all that comes with it) or made harmless, and never found later by sampling."""
    for bad in (np.nan, np.inf, -1.0):
        ledger = subject.ledger(16, prioritized=True)
        ledger.episode(16, "")
        keys = set_all(ledger, 1.0)
        row, pair = next(iter(keys)), np.array(list(keys.values())[:2])
        is_refused = refusal(ledger.buffer, pair[1:], np.array([bad])) != ""
        if is_refused:
            refusal(ledger.buffer, pair, np.array([1e6, bad]))
        _require_healthy(ledger, bad)
        if is_refused:
            require_share(ledger, [row], 1 / len(keys), f"a row that was refused together with {bad}")


def _require_healthy(ledger: Ledger, bad: float) -> None:
    try:
        batch = ledger.buffer.sample(512)
        num_rows = len(set(ledger.check(batch, ["obs"])))
    except Exception as error:
        raise type(error)(f"after a priority of {bad}: {error}") from error
    weight = np.asarray(batch.weight)
    require(
        np.isfinite(weight).all(), f"after a priority of {bad}: expected finite weights, got {weight[:4]}"
    )
    require(
        num_rows >= 8,
        f"after a priority of {bad}: expected all rows to be drawn, got {num_rows} in 512 draws",
    )


@case("B19", "torchrl 0.14.1; cpprb 11.0.0")
def late_priorities_do_not_touch_the_rows_that_came_since(subject: Subject) -> None:
    """Between a draw and its update, actors overwrite rows and other batches are drawn.
    Priorities of rows that are gone are ignored or refused."""
    ledger = subject.ledger(8, prioritized=True)
    ledger.episode(8, "")
    set_all(ledger, 1.0)
    late = ledger.buffer.sample(32)
    ledger.episode(9, "")
    ledger.buffer.sample(32)
    refusal(ledger.buffer, late.key, np.where(np.asarray(late.key) == np.asarray(late.key)[0], 1e6, 1.0))
    ((row, count),) = ledger.count(NUM_DRAWS, 500).most_common(1)
    require(
        count < NUM_DRAWS / 4, f"expected all rows alike, got {row} in {count / NUM_DRAWS:.3f} of the draws"
    )


@case("B20", "google-deepmind/dqn_zoo")
def zero_priorities_neither_divide_nor_reach_unwritten_rows(subject: Subject) -> None:
    """When all priorities are zero a buffer refuses to draw or draws evenly.
    It gives no NaN, and 0^0 brings no slot to life that was never written."""
    for alpha in (1.0, 0.0):
        try:
            ledger = subject.ledger(32, prioritized=True, alpha=alpha, eps=0.0)
        except NotOffered:
            if alpha > 0.0:
                raise
            continue
        ledger.episode(5, "")
        row, *others = set_all(ledger, 0.0)
        try:
            batch = ledger.buffer.sample(512)
        except Exception as error:
            require(alpha > 0.0, f"expected alpha 0 to draw evenly, got {error}")
            continue
        ledger.check(batch)
        require(np.isfinite(np.asarray(batch.weight)).all(), "expected finite weights, got NaN or infinity")
        require_share(
            ledger, [row], 1 / (len(others) + 1), f"one of the rows of priority 0 (alpha {alpha:g})"
        )


@case("B15", "dopamine-rl 4.1.2")
def last_of_duplicate_priorities_wins(subject: Subject) -> None:
    """Drawn with replacement, a row comes twice in a batch, and both priorities are handed back in one call.
    As in NumPy's assignment the last one counts."""
    ledger = subject.ledger(8, prioritized=True)
    ledger.episode(8, "")
    keys = set_all(ledger, 1.0)
    row, key = list(keys.items())[3]
    ledger.buffer.update_priorities(np.array([key, key]), np.array([1000.0, 1.0]))
    require_share(ledger, [row], 1 / len(keys), "a row of priority 1000, then 1, among others of 1")


@case("T11", "pytorch/rl#3925; pytorch/rl#2211")
def new_row_weighs_what_an_update_to_that_priority_would_give(subject: Subject) -> None:
    """A new row gets the largest priority so far, and alpha is applied to it once.
    Twice, and new rows are drawn too rarely for as long as the run goes."""
    ledger = subject.ledger(8, prioritized=True, alpha=0.5)
    ledger.episode(2, "")
    set_all(ledger, 16.0)
    ledger.episode(2, "")
    seen = ledger.count(NUM_DRAWS, 500)
    old, new = seen[Identity(0, 0, 0)], seen[Identity(0, 0, 2)]
    limit = SIGMAS * (old + new) ** 0.5
    require(
        abs(old - new) <= limit,
        f"expected a new row as often as one of that priority, got {new} and {old} draws",
    )


@case("T12", "openai/baselines segment_tree.py")
def weights_forget_rows_that_are_gone(subject: Subject) -> None:
    """Weights are scaled so that the largest is 1.
    A row of tiny priority that was overwritten must not scale down the others for ever."""
    ledger = subject.ledger(8, prioritized=True)
    ledger.episode(8, "")
    rare = list(set_all(ledger, 1.0).values())[:1]
    ledger.buffer.update_priorities(np.array(rare), np.array([1e-3]))
    mixed = np.asarray(ledger.buffer.sample(256).weight)
    require(
        (mixed > 0).all() and (mixed <= 1 + 1e-5).all(),
        f"expected weights in (0, 1], got up to {mixed.max():g}",
    )
    ledger.episode(9, "")
    even = np.asarray(ledger.buffer.sample(256).weight)
    require(np.allclose(even, 1.0, atol=1e-3), f"expected weights of 1 among equal rows, got {even.min():g}")


@case("T18", "google-deepmind/reverb selectors/prioritized.cc; instadeepai/flashbax#52")
def priorities_of_all_magnitudes_leave_no_trace(subject: Subject) -> None:
    """A sum that is changed by differences keeps the rounding errors of large priorities after they are gone.
    Small ones are then drawn in wrong shares, or the total is negative."""
    ledger = subject.ledger(64, prioritized=True)
    ledger.episode(64, "")
    rows = set_all(ledger, 1.0)
    keys = np.array(list(rows.values()))
    random = np.random.default_rng(0)
    for _ in range(300):
        some = random.integers(len(keys), size=32)
        ledger.buffer.update_priorities(keys[some], 10.0 ** random.uniform(-6, 12, 32))
    ledger.buffer.update_priorities(keys, np.full(len(keys), 1e-3))
    for first in (0, 32):
        some_rows = list(rows)[first : first + 16]
        require_share(ledger, some_rows, 16 / len(rows), "sixteen rows of priority 0.001 among others of it")
