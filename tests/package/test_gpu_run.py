"""bench/gpu/run.py without a GPU: time is shared out, what fails says why, and rates are counted."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("ale_py")

from bench.gpu import run as gpu


def test_shares_are_the_whole_and_every_part_has_one() -> None:
    assert sum(gpu.SHARES.values()) == pytest.approx(1.0)
    assert gpu.SHARES.keys() == gpu.PARTS.keys()


def test_part_gets_its_share_and_never_more_than_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(gpu.time, "monotonic", lambda: now[0])
    clock = gpu.Clock(10)
    assert clock.seconds("pong") == pytest.approx(240.0)
    now[0] = 590.0
    assert clock.seconds("pong") == pytest.approx(10.0)
    now[0] = 700.0
    assert clock.seconds("pong") == 0.0


def test_part_that_fails_says_why_and_how_long_it_took() -> None:
    def broken(device: str, seconds: float) -> gpu.Results:
        raise RuntimeError("no such\nkernel")

    told = gpu.measured(broken, "cpu", 1.0)
    assert told["reason"] == "RuntimeError: no such kernel"
    assert told["seconds"] >= 0


@pytest.mark.parametrize(("rate", "minutes"), [(4_166.7, 10.0), (0.0, None)])
def test_ten_million_frames_are_extrapolated_by_four_frames_a_step(
    rate: float, minutes: float | None
) -> None:
    assert gpu.extrapolated(rate) == minutes


def test_stacks_roll() -> None:
    rows = list(gpu.stacks(5))
    assert all((next_obs[:3] == obs[1:]).all() for obs, next_obs in rows)
    assert all((rows[i][1] == rows[i + 1][0]).all() for i in range(4))


@pytest.mark.parametrize("frames_on_device", [False, True])
def test_batches_are_timed(frames_on_device: bool) -> None:
    sample = gpu.ours("cpu", 300, frames_on_device=frames_on_device)
    assert gpu.microseconds(sample, 32, "cpu", 0.0) > 0


def test_rate_counts_steps_and_updates_once_a_run_learns() -> None:
    small = {"min_replay_steps": 64, "num_envs": 4, "head_size": 8, "torso": "small_pixels", "batch_size": 2}
    told: dict[str, Any] = {}
    for seconds in (1.5, 6.0, 24.0):  # until it has learned, on a machine that is busy too
        told = (
            told
            if "steps_per_second" in told
            else gpu.rate("cpu", seconds, **small, frame_size=20, num_threads=1)
        )
    assert told["steps_per_second"] == pytest.approx(4 * told["updates_per_second"], rel=0.2)
