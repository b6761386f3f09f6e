"""Adding and sampling stay near their ratio, and neither side waits for ever."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mujigae


def lead(limiter: mujigae.RateLimiter, samples_per_insert: float, min_rows: int) -> float:
    """How many samples adding is ahead."""
    counts = limiter.state()
    return (counts["num_added"] - min_rows) * samples_per_insert - counts["num_sampled"]


def test_nothing_is_sampled_before_there_are_enough_rows() -> None:
    limiter = mujigae.RateLimiter(1.0, min_rows=10, slack=4.0)
    for _ in range(5):
        assert not limiter.may_sample(1)
        assert limiter.may_add(2)
        limiter.added(2)
    assert limiter.may_sample(4)


def test_the_side_that_is_ahead_waits() -> None:
    limiter = mujigae.RateLimiter(2.0, min_rows=1, slack=4.0)
    limiter.added(1)
    assert limiter.may_add(2)
    limiter.added(2)  # 4 samples ahead
    assert not limiter.may_add(1)
    limiter.sampled(4)
    assert limiter.may_add(1)
    assert limiter.may_sample(4)
    limiter.sampled(4)  # 4 samples behind
    assert not limiter.may_sample(1)
    assert limiter.may_add(2)


def test_numbers_are_those_that_are_written() -> None:
    limiter = mujigae.RateLimiter(0.1, min_rows=1, slack=3.0)
    limiter.added(1)
    assert limiter.may_add(30)
    limiter.added(30)
    limiter.sampled(3)
    assert limiter.may_add(30)


def test_asking_changes_nothing() -> None:
    limiter = mujigae.RateLimiter(1.0, min_rows=1, slack=1.0)
    limiter.added(1)
    assert [limiter.may_sample(1) for _ in range(3)] == [True] * 3
    assert limiter.state() == {"num_added": 1, "num_sampled": 0}


@settings(deadline=None)
@given(
    samples_per_insert=st.floats(0.01, 64.0),
    min_rows=st.integers(1, 100),
    rows=st.integers(1, 16),
    samples=st.integers(1, 64),
    spare=st.sampled_from([0.0, 0.5, 100.0]),
    is_producers_turn=st.lists(st.booleans(), min_size=50, max_size=300),
)
def test_a_producer_and_a_consumer_never_wait_for_each_other(
    samples_per_insert: float,
    min_rows: int,
    rows: int,
    samples: int,
    spare: float,
    is_producers_turn: list[bool],
) -> None:
    slack = max(1.0, samples_per_insert, rows * samples_per_insert, float(samples)) * (1 + 1e-12) + spare
    limiter = mujigae.RateLimiter(samples_per_insert, min_rows, slack)
    for is_producer in is_producers_turn:
        may_add, may_sample = limiter.may_add(rows), limiter.may_sample(samples)
        assert may_add or may_sample
        if is_producer and may_add:
            limiter.added(rows)
        elif not is_producer and may_sample:
            limiter.sampled(samples)
        if limiter.state()["num_added"] >= min_rows:
            assert abs(lead(limiter, samples_per_insert, min_rows)) <= slack * (1 + 1e-9)


@settings(deadline=None, max_examples=50)
@given(samples_per_insert=st.floats(0.05, 20.0), slack=st.floats(20.0, 60.0), num_turns=st.integers(200, 600))
def test_the_ratio_is_reached_whoever_goes_first(
    samples_per_insert: float, slack: float, num_turns: int
) -> None:
    limiter = mujigae.RateLimiter(samples_per_insert, 5, slack)
    for _ in range(num_turns):  # adds whenever it may, samples only when it must
        if limiter.may_add(1):
            limiter.added(1)
        else:
            limiter.sampled(1)
    counts = limiter.state()
    assert abs((counts["num_added"] - 5) * samples_per_insert - counts["num_sampled"]) <= slack * (1 + 1e-9)


def test_threads_reach_their_ends() -> None:
    limiter = mujigae.RateLimiter(3.0, min_rows=8, slack=24.0)

    def run(may: Any, done: Any, size: int, total: int) -> None:
        for _ in range(total // size):
            while not may(size):
                pass
            done(size)

    threads = [
        threading.Thread(target=run, args=(limiter.may_add, limiter.added, 4, 400)),
        threading.Thread(target=run, args=(limiter.may_sample, limiter.sampled, 12, 1176)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert limiter.state() == {"num_added": 400, "num_sampled": 1176}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_goes_on_from_the_same_counts(copied: Any) -> None:
    limiter = mujigae.RateLimiter(0.5, min_rows=2, slack=3.0)
    limiter.added(4)
    limiter.sampled(2)
    twin = copied(limiter)
    assert (twin.state(), repr(twin)) == (limiter.state(), "RateLimiter(0.5, 2, 3)")
    twin.sampled(1)
    assert limiter.state()["num_sampled"] == 2


def test_counts_are_restored_from_a_checkpoint() -> None:
    limiter = mujigae.RateLimiter(1.0, min_rows=1, slack=1.0)
    limiter.restore({"num_added": 7, "num_sampled": 6})
    assert limiter.state() == {"num_added": 7, "num_sampled": 6}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"num_added": 1}, "state: expected num_added and num_sampled, got \\['num_added'\\]"),
        ({"num_added": 1, "num_sampled": -1}, "num_sampled: expected at least 0, got -1"),
    ],
)
def test_a_state_of_another_kind_is_refused_and_changes_nothing(state: dict[str, int], message: str) -> None:
    limiter = mujigae.RateLimiter(1.0, min_rows=1, slack=1.0)
    limiter.added(3)
    with pytest.raises(ValueError, match=message):
        limiter.restore(state)
    assert limiter.state() == {"num_added": 3, "num_sampled": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1, 1.0), "samples_per_insert: expected a finite number above 0, got 0.0"),
        ((float("inf"), 1, 1.0), "samples_per_insert: expected a finite number above 0, got inf"),
        ((float("nan"), 1, 1.0), "samples_per_insert: expected a finite number above 0, got nan"),
        ((1.0, 0, 1.0), "min_rows: expected at least 1, got 0"),
        (
            (4.0, 1, 3.0),
            "slack: expected a finite number of at least max\\(1, samples_per_insert\\) = 4, got 3",
        ),
        (
            (0.1, 1, 0.5),
            "slack: expected a finite number of at least max\\(1, samples_per_insert\\) = 1, got 0.5",
        ),
        ((1.0, 1, float("inf")), "slack: expected a finite number"),
    ],
)
def test_what_would_let_nobody_go_on_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mujigae.RateLimiter(*arguments)


def test_calls_larger_than_the_slack_are_refused_instead_of_waiting_for_ever() -> None:
    limiter = mujigae.RateLimiter(2.0, min_rows=1, slack=8.0)
    with pytest.raises(
        ValueError, match="n: expected n x samples_per_insert of at most slack = 8, got 5 rows"
    ):
        limiter.may_add(5)
    with pytest.raises(ValueError, match="n: expected at most slack = 8 samples, got 9"):
        limiter.may_sample(9)
    for call in (limiter.may_add, limiter.may_sample, limiter.added, limiter.sampled):
        with pytest.raises(ValueError, match="n: expected at least 1, got 0"):
            call(0)
        with pytest.raises(TypeError, match=r"n: expected an integer, got 1\.5"):
            call(1.5)  # type: ignore[arg-type]
