"""What a run leaves in its folder while it trains, and what a resume makes of it."""

from __future__ import annotations

import csv
import io
from collections import deque
from pathlib import Path
from typing import Any

import pytest
import torch

from mujigae.agents.agent import Update
from mujigae.agents.presets import resolve
from mujigae.envs.steps import Episode
from mujigae.errors import ConfigError
from mujigae.networks import NoisyLinear
from mujigae.runs.display import Display, describe, human_bytes, human_time, seconds_left
from mujigae.runs.log import EPISODE_COLUMNS, RunLog, Window, mean_of_last, progress_columns
from mujigae.training.loop import Progress, Training, build, run

SMALL: dict[str, Any] = {
    "num_envs": 2,
    "hidden_sizes": (8,),
    "head_size": 0,
    "batch_size": 4,
    "capacity": 300,
    "min_replay_steps": 20,
    "learn_period_steps": 2,
    "num_updates": 1,
    "log_period_steps": 20,
    "checkpoint_period_steps": 50,
    "steps": 100,
    "num_threads": 1,
}


def training_of(preset: str = "prioritized", **changes: Any) -> Training:
    return build(resolve(preset, "CartPole-v1", {**SMALL, **changes}))


def log_run(folder: Path, training: Training) -> list[Progress]:
    log = RunLog(folder, training)
    progress = []
    for p in run(training):
        log.observe(p)
        progress.append(p)
    log.close()
    return progress


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_progress_has_the_documented_columns_and_a_row_per_period_and_boundary(tmp_path: Path) -> None:
    training = training_of()
    log_run(tmp_path, training)
    rows = table(tmp_path / "progress.csv")
    assert list(rows[0]) == progress_columns(training.agent)
    assert {"loss", "mean_q", "epsilon", "noise_scale", "beta", "max_priority"} <= rows[0].keys()
    assert [int(row["step"]) for row in rows] == [20, 40, 50, 60, 80, 100]


def test_row_holds_the_means_of_its_window(tmp_path: Path) -> None:
    training = training_of(checkpoint_period_steps=1_000)
    progress = log_run(tmp_path, training)
    row = table(tmp_path / "progress.csv")[2]
    window = [update for p in progress if 40 < p.step <= 60 for update in p.updates]
    assert len(window) == 10
    assert float(row["loss"]) == pytest.approx(sum(float(w.metrics["loss"]) for w in window) / 10, rel=1e-5)
    assert float(row["mean_q"]) == pytest.approx(
        sum(float(w.metrics["mean_q"]) for w in window) / 10, rel=1e-5
    )
    assert float(row["mean_priority"]) == pytest.approx(
        sum(float(w.priorities.mean()) for w in window) / 10, rel=1e-5
    )
    assert float(row["max_priority"]) == pytest.approx(
        max(float(w.priorities.max()) for w in window), rel=1e-5
    )
    assert float(row["replay_ratio"]) == 10 * 4 / 20  # updates x batch size / steps
    assert (int(row["step"]), int(row["frames"]), int(row["updates"])) == (60, 60, 21)
    assert float(row["epsilon"]) == pytest.approx(1 - 0.95 * (58 - 20) / 5_000)  # of the step before it
    assert float(row["beta"]) == progress[29].beta
    assert int(row["buffer_size"]) == 60
    assert int(row["buffer_bytes"]) > 0


@pytest.mark.parametrize("num_updates", [1, 255, 256, 700])
def test_window_sums_any_number_of_updates(num_updates: int) -> None:
    """Some metrics are tensors, some are numbers; not every update has priorities."""
    window = Window(0, 0.0)
    for i in range(num_updates):
        priorities = torch.tensor([float(i), 0.0]) if i % 2 == 0 else None
        update = Update(priorities, {"loss": torch.tensor(float(i)), "other": 2.0})
        window.add(Progress(i, i, 0.0, 0.4, (), (update,), False))
    assert window.mean("loss") == pytest.approx((num_updates - 1) / 2)
    assert window.mean("other") == 2.0
    even = range(0, num_updates, 2)
    assert window.max_priority() == max(even)
    assert window.mean("mean_priority") == pytest.approx(sum(even) / (2 * len(even)))
    assert window.mean("absent") is None


def test_cells_with_nothing_to_say_are_empty(tmp_path: Path) -> None:
    log_run(tmp_path, training_of("dqn", min_replay_steps=60))
    first = table(tmp_path / "progress.csv")[0]
    silent = ("loss", "mean_q", "mean_priority", "max_priority", "beta", "noise_scale", "mean_return_100")
    assert [first[name] for name in silent] == [""] * len(silent)
    assert first["replay_ratio"] == "0.0"


@pytest.mark.parametrize(("num_scores", "mean"), [(19, None), (20, 10.5), (30, 20.5)])
def test_mean_of_the_last_games_needs_that_many(num_scores: int, mean: float | None) -> None:
    assert mean_of_last(deque(range(1, num_scores + 1)), 20) == mean


def test_every_finished_game_is_a_row_with_its_raw_score(tmp_path: Path) -> None:
    progress = log_run(tmp_path, training_of())
    rows = table(tmp_path / "episodes.csv")
    assert list(rows[0]) == EPISODE_COLUMNS
    games = [(p.step, *episode) for p in progress for episode in p.episodes]
    names = ("step", "env_id", "score", "length_steps")
    assert [tuple(float(row[name]) for name in names) for row in rows] == games
    assert len(games) > 1


def test_resumed_log_drops_what_lies_past_the_checkpoint(tmp_path: Path) -> None:
    log_run(tmp_path, training_of())
    whole = {name: table(tmp_path / name) for name in ("progress.csv", "episodes.csv")}
    with (tmp_path / "episodes.csv").open("a") as file:
        file.write("100,100,1.0,0,3")  # a line that a crash has torn
    training = training_of()
    training.counters.steps = 50
    RunLog(tmp_path, training).close()
    for name, rows in whole.items():
        kept = [row for row in rows if int(row["step"]) <= 50]
        assert table(tmp_path / name) == kept
        assert 0 < len(kept) < len(rows)


def test_kill_while_a_resume_opens_the_log_leaves_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*paths: Path) -> None:
        raise KeyboardInterrupt

    log_run(tmp_path, training_of())
    before = (tmp_path / "progress.csv").read_bytes()
    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        RunLog(tmp_path, training_of())
    assert (tmp_path / "progress.csv").read_bytes() == before


def test_column_that_is_newer_than_the_run_is_empty_in_its_rows(tmp_path: Path) -> None:
    log_run(tmp_path, training_of())
    path, newer = tmp_path / "progress.csv", "learning_rate"
    rows = table(path)
    older = [name for name in rows[0] if name != newer]
    lines = [older, *([row[name] for name in older] for row in rows)]
    path.write_text("".join(",".join(line) + "\n" for line in lines))
    training = training_of()
    training.counters.steps = 50
    RunLog(tmp_path, training).close()
    assert table(path) == [row | {newer: ""} for row in rows if int(row["step"]) <= 50]
    assert list(table(path)[0]) == list(rows[0])


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "step,frames,other\n1,2,3\n", "frames,step\n1,2\n", "step,step\n1,2\n"]
)
def test_resume_refuses_a_table_with_other_columns(tmp_path: Path, text: str) -> None:
    (tmp_path / "progress.csv").write_text(text)
    training = training_of()
    training.counters.steps = 50
    with pytest.raises(ConfigError, match=r"progress.csv: expected the columns step,frames"):
        RunLog(tmp_path, training)


def test_tensorboard_gets_scores_and_learning(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    progress = log_run(tmp_path, training_of())
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    shown = {
        *("return/mean_20", "episode/score", "episode/length_steps"),
        *(
            "train/loss",
            "train/mean_q",
            "train/mean_target",
            "train/action_gap",
            "train/learning_rate",
            "train/epsilon",
            "train/beta",
            "train/mean_priority",
            "train/max_priority",
        ),
        *(
            "replay/ratio",
            "replay/size",
            "replay/bytes",
            "speed/steps_per_second",
            "speed/updates_per_second",
        ),
    }
    assert set(events.Tags()["scalars"]) == shown - {"return/mean_20"}  # fewer than twenty games
    games = [(p.step, e.score) for p in progress for e in p.episodes]
    assert [(event.step, event.value) for event in events.Scalars("episode/score")] == games


def test_noisy_run_says_how_much_noise_is_left(tmp_path: Path) -> None:
    training = training_of("noisy")
    log_run(tmp_path, training)
    scales = [float(row["noise_scale"]) for row in table(tmp_path / "progress.csv")]
    (layer,) = [m for m in training.agent.online.modules() if isinstance(m, NoisyLinear)]
    assert scales[-1] == pytest.approx(float(layer.weight_sigma.detach().abs().mean()))
    assert len(set(scales)) == len(scales)


def test_display_prints_plain_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    training, stream = training_of(), io.StringIO()
    with Display(training, stream) as display:
        for progress in run(training):
            display.show(progress, {"loss": 0.25})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2  # the boundaries at 50 and 100; ten seconds have not passed
    for part in ("step 100/100", "steps/s", "return ", "loss 0.25", "epsilon 0.9", "replay ", "left 0:00:00"):
        assert part in lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_display_goes_on_without_a_reader() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    training = training_of()
    with Display(training, Closed()) as display:
        for progress in run(training):
            display.show(progress, None)
    assert training.counters.steps == 100


def test_display_draws_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    training, stream = training_of(), Terminal()
    with Display(training, stream) as display:
        for progress in run(training):
            display.show(progress, None)
    assert "100%" in stream.getvalue()
    assert "step 100/100" in stream.getvalue()


def make_progress(step: int, seconds: float) -> Progress:
    return Progress(step, step, seconds, 0.4, (Episode(0, 1.0, 1),), (), False)


def test_time_left_is_what_the_nearer_budget_leaves_at_the_speed_of_this_process() -> None:
    training = training_of(steps=1_000)
    assert seconds_left(training, make_progress(300, 30.0), (100, 10.0)) == pytest.approx(70.0)
    training = training_of(steps=1_000, minutes=1.0)
    assert seconds_left(training, make_progress(300, 30.0), (100, 10.0)) == pytest.approx(30.0)


def test_line_without_finished_games_has_a_dash_for_the_return() -> None:
    training = training_of()
    assert "return - (last 0 of 0)  loss -" in describe(training, make_progress(2, 1.0), {}, (0, 0.0))


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (7_100_000_000, "7.1 GB"), (2e15, "2e+03 TB")],
)
def test_bytes_for_people(num_bytes: float, text: str) -> None:
    assert human_bytes(num_bytes) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00:00"), (3_725.4, "1:02:05"), (float("inf"), "-")])
def test_time_for_people(seconds: float, text: str) -> None:
    assert human_time(seconds) == text
