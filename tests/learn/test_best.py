"""The best snapshot: which network is kept, what is written about it, and that looking changes nothing."""

from __future__ import annotations

import csv
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_resume import SMALL, assert_equal

from mujigae import cli
from mujigae.agents.presets import resolve
from mujigae.errors import CheckpointError, ConfigError
from mujigae.runs import best, checkpoint, session
from mujigae.runs import folder as run_folder
from mujigae.runs.best import EVALUATION_COLUMNS
from mujigae.runs.stopping import Stop
from mujigae.training.loop import build, run

EVALUATED: dict[str, Any] = {**SMALL, "best_episodes": 3}


def trained(root: Path, **changes: Any) -> Path:
    config = resolve("noisy", "CartPole-v1", {**EVALUATED, **changes})
    return session.train_run(config, root=root, name="run", say=lambda _: None).folder


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "evaluations.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations that score 1, 9 and 5, by turns."""
    means = iter([1.0, 9.0, 5.0] * 2)
    monkeypatch.setattr(best, "evaluate", lambda *_, **options: np.full(options["num_episodes"], next(means)))


def test_every_checkpoint_is_evaluated(tmp_path: Path) -> None:
    rows = lines(trained(tmp_path))
    assert [row["step"] for row in rows] == ["120", "240", "360"]
    assert list(rows[0]) == EVALUATION_COLUMNS
    assert all(float(row["lowest"]) <= float(row["mean_return"]) <= float(row["highest"]) for row in rows)
    assert all(row["episodes"] == "3" for row in rows)


@pytest.mark.usefixtures("scripted")
def test_snapshot_is_of_the_highest_mean(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    state = checkpoint.best_state(folder)
    assert state["counters"]["steps"] == 240
    assert state["evaluation"]["mean_return"] == 9.0
    assert sorted(path.name for path in checkpoint.best(folder).iterdir()) == [
        "agent.safetensors",
        "state.json",
    ]
    assert checkpoint.latest(folder).name == "checkpoint-360"
    assert not (folder / "best.old").exists()


@pytest.mark.usefixtures("scripted")
def test_resumed_run_keeps_a_better_snapshot_of_before(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    session.resume_run(folder, {"steps": 480}, say=lambda _: None)  # scores 1
    assert [row["step"] for row in lines(folder)] == ["120", "240", "360", "480"]
    assert checkpoint.best_state(folder)["counters"]["steps"] == 240


@pytest.mark.usefixtures("scripted")
def test_evaluation_that_is_good_enough_ends_the_run(tmp_path: Path) -> None:
    folder = trained(tmp_path, stop_evaluation=9.0)
    assert [row["mean_return"] for row in lines(folder)] == ["1.0", "9.0"]
    assert checkpoint.latest(folder).name == "checkpoint-240"


@pytest.mark.usefixtures("scripted")
def test_run_that_an_evaluation_ended_goes_on_without_that_limit(tmp_path: Path) -> None:
    folder = trained(tmp_path, stop_evaluation=9.0)
    said: list[str] = []
    session.resume_run(folder, {}, say=said.append)
    assert checkpoint.latest(folder).name == "checkpoint-240"  # still good enough
    assert any(line.startswith("already finished at step 240") for line in said)
    session.resume_run(folder, {"stop_evaluation": 10.0}, say=lambda _: None)
    assert [row["mean_return"] for row in lines(folder)] == ["1.0", "9.0", "5.0"]


@pytest.mark.usefixtures("scripted")
def test_snapshot_survives_a_kill_between_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = trained(tmp_path)
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if self.name == "best.tmp":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    training = build(resolve("noisy", "CartPole-v1", EVALUATED))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save_agent(training, folder / "best", {"evaluation": {"mean_return": 10.0}})
    assert not (folder / "best").exists()
    assert best.best_mean(folder) == 9.0
    monkeypatch.undo()
    checkpoint.save_agent(training, folder / "best", {"evaluation": {"mean_return": 11.0}})
    assert best.best_mean(folder) == 11.0


def test_interrupt_waits_for_no_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def pressed(message: str) -> Iterator[Stop]:
        stop = Stop()
        stop.signal = signal.SIGINT
        yield stop

    monkeypatch.setattr(session, "stop_on_signals", pressed)
    folder = trained(tmp_path)
    assert lines(folder) == []
    assert checkpoint.latest(folder).name == "checkpoint-3"


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("where", ["before the games", "after the line", "after the snapshot"])
def test_kill_between_checkpoint_and_snapshot_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Of the second checkpoint, whose games score most; the first part of the run stops there."""

    def killed(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    trained(tmp_path, steps=120)  # scores 1
    folder = tmp_path / "run"
    if where == "before the games":
        monkeypatch.setattr(best, "evaluate", killed)
    elif where == "after the line":
        monkeypatch.setattr(checkpoint, "save_agent", killed)
    else:
        close = best.BestSnapshot.close
        monkeypatch.setattr(best.BestSnapshot, "close", lambda self: (close(self), killed())[1])
    with pytest.raises(KeyboardInterrupt):
        session.resume_run(folder, {"steps": 240}, say=lambda _: None)
    monkeypatch.undo()
    assert checkpoint.latest(folder).name == "checkpoint-240"
    if where == "before the games":
        monkeypatch.setattr(best, "evaluate", lambda *_, **options: np.full(options["num_episodes"], 9.0))
    session.resume_run(folder, {}, say=lambda _: None)
    assert [(row["step"], row["mean_return"]) for row in lines(folder)] == [("120", "1.0"), ("240", "9.0")]
    assert checkpoint.best_state(folder)["counters"]["steps"] == 240


def test_checkpoint_is_safe_before_its_games_are_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the simulator fell over")

    monkeypatch.setattr(best, "evaluate", broken)
    with pytest.raises(RuntimeError, match="fell over"):
        trained(tmp_path)
    assert checkpoint.latest(tmp_path / "run").name == "checkpoint-120"


@pytest.mark.parametrize("moment", ["make", "restore_agent"])
def test_run_that_trains_can_be_evaluated(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its newest checkpoint may be replaced before it has been read."""
    run, original = trained(tmp_path, best_episodes=0, stop_evaluation=None), getattr(run_folder, moment)

    def replaced(*args: Any, **kwargs: Any) -> Any:
        if (run / "checkpoint-360").exists():
            (run / "checkpoint-360").rename(run / "checkpoint-480")
        return original(*args, **kwargs)

    monkeypatch.setattr(run_folder, moment, replaced)
    assert session.evaluate_run(run, 1).shape == (1,)


def test_stop_evaluation_without_evaluations_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"stop_evaluation: expected None \(--stop-evaluation None\) where best_episodes is 0, got 9",
    ):
        resolve("noisy", "CartPole-v1", {"best_episodes": 0, "stop_evaluation": 9.0})


def test_evaluating_does_not_change_the_run(tmp_path: Path) -> None:
    evaluated = build(resolve("noisy", "CartPole-v1", EVALUATED))
    plain = build(resolve("noisy", "CartPole-v1", SMALL))
    snapshot = best.BestSnapshot(tmp_path, evaluated)
    for progress in run(evaluated):
        if progress.is_checkpoint:
            evaluated.counters.is_evaluation_due = True
            assert snapshot.play() is not None
    snapshot.close()
    for _ in run(plain):
        pass
    evaluated.counters.evaluation = None
    assert_equal(evaluated, plain)


def test_best_can_be_evaluated_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = trained(tmp_path / "runs")
    assert cli.main(["evaluate", "run", "--best", "--episodes", "2"]) == 0
    assert "over 2 episodes" in capsys.readouterr().out
    assert cli.main(["record", "run", "--best", "--max-steps", "20"]) == 0
    assert (folder / "best_play.gif").is_file()
    assert cli.main(["record", "run", "--best", "--untrained"]) == 2
    assert "expected --best or --untrained, got both" in capsys.readouterr().err


def test_run_without_a_snapshot_says_how_to_keep_one(tmp_path: Path) -> None:
    folder = trained(tmp_path, best_episodes=0, stop_evaluation=None)
    with pytest.raises(CheckpointError, match="no best snapshot in this folder; --best-episodes keeps one"):
        session.evaluate_run(folder, 1, network="best")
    assert not (folder / "evaluations.csv").exists()
