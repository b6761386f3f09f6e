"""The dotted line: the published curve at the same frames and protocol, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_pictures import make_run, rows_of

from mujigae.pictures import curves
from mujigae.pictures.published import DOPAMINE, draw_published, published_for

DOPAMINES_PROTOCOL: dict[str, Any] = {
    "preset": "rainbow",
    "env_id": "ALE/Pong-v5",
    "sticky_probability": 0.25,
    "life_loss": False,
    "fire_reset": False,
    "num_noops": 0,
    "full_action_set": False,
    "max_frames_per_episode": 108_000,
    "frame_size": 84,
    "frame_stack": 4,
    "frame_skip": 4,
    "clip_rewards": True,
}


class RecordingAxes:
    def __init__(self) -> None:
        self.lines: list[tuple[Any, Any]] = []

    def plot(self, x: Any, y: Any, **look: Any) -> None:
        assert look["linestyle"] == "dotted"
        self.lines.append((x, y))

    def annotate(self, text: str, *_: Any, **__: Any) -> None:
        assert "Castro et al. 2018" in text


def lines_for(*configs: dict[str, Any], max_steps: float) -> list[Any]:
    axes: Any = RecordingAxes()
    draw_published(axes, configs, max_steps)
    return axes.lines


def test_line_is_the_published_curve_at_the_same_frames() -> None:
    ((steps, scores),) = lines_for(DOPAMINES_PROTOCOL, max_steps=2.6e6)
    assert steps == (1.25e6, 2e6, 2.5e6)  # 5, 8 and 10 million frames
    assert scores == (-14.2, 2.5, 12.4)


def test_line_ends_where_the_run_does_and_a_short_run_has_none() -> None:
    assert lines_for(DOPAMINES_PROTOCOL, max_steps=1.2e6) == []
    ((steps, _),) = lines_for(DOPAMINES_PROTOCOL, max_steps=1.25e6)
    assert steps == (1.25e6,)


@pytest.mark.parametrize(
    "change",
    [
        {"sticky_probability": 0.0},
        {"life_loss": True},
        {"num_noops": 30},
        {"frame_size": 42},
        {"frame_skip": 1},
        {"clip_rewards": False},
        {"full_action_set": True},
        {"preset": "noisy"},
        {"env_id": "ALE/Alien-v5"},
        {"env_id": "CartPole-v1"},
        {"env_id": None},
    ],
    ids=str,
)
def test_run_under_another_protocol_has_no_line(change: dict[str, Any]) -> None:
    assert published_for([DOPAMINES_PROTOCOL | change]) is None


def test_runs_that_differ_in_game_or_preset_have_no_line() -> None:
    dqn = DOPAMINES_PROTOCOL | {"preset": "dqn"}
    assert published_for([DOPAMINES_PROTOCOL, dqn]) is None
    assert published_for([dqn, dqn]) == DOPAMINE["ALE/Pong-v5"]["dqn"]


def test_configuration_without_the_protocol_has_no_line() -> None:
    assert published_for([{"preset": "dqn", "env_id": "ALE/Pong-v5"}]) is None


def test_every_curve_has_a_score_for_each_number_of_frames_in_order() -> None:
    for game in DOPAMINE.values():
        for published in game.values():
            assert len(published.frames) == len(published.scores)
            assert (np.diff(published.frames) > 0).all()


def test_picture_of_a_comparable_run_has_the_line(tmp_path: Path) -> None:
    rows = "".join(
        f"{step},{4 * step},{step / 100},0,{step % 7},10\n" for step in range(10_000, 2_600_000, 10_000)
    )
    with_line = make_run(tmp_path / "a", rows, **DOPAMINES_PROTOCOL)
    without = make_run(tmp_path / "b", rows, **DOPAMINES_PROTOCOL | {"sticky_probability": 0.0})
    pictures = [curves.plot([run], tmp_path / f"{run.name}.png").read_bytes() for run in (with_line, without)]
    assert pictures[0] != pictures[1]
    assert curves.plot([make_run(tmp_path / "c", rows_of([1.0] * 30))], tmp_path / "c.png").exists()
