"""A run that other programs have slowed down says so, and only then."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mujigae import cli
from mujigae.training.pace import BLOCK, NUM_SLOW, SLOW, Pace


def paced(*seconds: float) -> Pace:
    """Blocks of updates that took so long."""
    pace = Pace()
    for one in itertools.chain.from_iterable([value] * BLOCK for value in seconds):
        pace.add(one)
    return pace


def test_updates_that_have_become_far_slower_are_noticed() -> None:
    said = paced(0.010, 0.012, *[0.050] * NUM_SLOW).warning(num_threads=2)
    assert said is not None
    assert said.startswith("updates take 50 ms where they took 10 ms: each waits for 2 threads")


@pytest.mark.parametrize(
    "blocks",
    [
        [0.010] * 20,
        [0.010, *[0.99 * SLOW * 0.010] * 20],
        [0.050] * 20,  # it was never faster
        [0.010, *[0.050] * (NUM_SLOW - 1)],
        [*[0.010, 0.050] * 20],  # a moment of other work
        [0.050, 0.010],  # the first updates of a run are slow
    ],
)
def test_other_paces_are_not_remarked_upon(blocks: list[float]) -> None:
    assert paced(*blocks).warning(num_threads=2) is None


def test_one_slow_update_in_each_block_does_not_count() -> None:
    pace = Pace()
    for number in range(10 * BLOCK):
        pace.add(1.0 if number % BLOCK == 0 else 0.01)
    assert pace.warning(num_threads=2) is None


def test_run_on_one_thread_has_nothing_to_wait_for() -> None:
    assert paced(0.010, *[0.100] * 10).warning(num_threads=1) is None


def test_run_says_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mujigae.runs.session._draw", lambda folder, say: None)
    seconds = itertools.chain([0.010] * 4 * BLOCK, itertools.repeat(0.050))
    monkeypatch.setattr(Pace, "__exit__", lambda self, *error: self.add(next(seconds)))
    options = [
        "--steps",
        "1600",
        "--min-replay-steps",
        "100",
        "--learn-period-steps",
        "4",
        "--num-updates",
        "1",
    ]
    assert cli.main(["train", "dqn", "--num-threads", "2", *options]) == 0
    assert capsys.readouterr().err.count("where they took 10 ms: each waits for 2 threads") == 1
