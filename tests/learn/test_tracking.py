"""Curves beside TensorBoard: what a tracker is given, how a resumed run finds it again, and that its errors stop nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from command_line import error_of, train

from mujigae import cli
from mujigae.errors import MujigaeError
from mujigae.runs.log import Table
from mujigae.runs.tracking import opening
from mujigae.runs.tracking.contract import TrackedRun

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own", "without_pictures")


class Recorder:
    """A tracker in place of trackio's, which keeps what it is given, and fails where it is asked to."""

    opened: list[Recorder]
    fails_in = ""

    def __init__(self, run: TrackedRun) -> None:
        self.run, self.id, self.calls = run, run.id or f"id-{len(self.opened)}", []
        self._call("init")
        self.opened.append(self)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._call("log", dict(values), step)

    def flush(self) -> None:
        self._call("flush")

    def close(self) -> None:
        self._call("close")

    def _call(self, name: str, *what: Any) -> None:
        self.calls.append((name, *what))
        if name == self.fails_in:
            raise RuntimeError(f"no network\nin {name}")

    def logged(self, tag: str) -> list[tuple[int, float]]:
        return [(call[2], call[1][tag]) for call in self.calls if call[0] == "log" and tag in call[1]]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    module = ModuleType("mujigae.runs.tracking.trackio")
    module.Trackio = type("Trackio", (Recorder,), {"opened": []})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "trackio", ModuleType("trackio"))
    found: type[Recorder] = module.Trackio  # type: ignore[attr-defined]
    return found


def rows(name: str, column: str) -> list[tuple[int, float]]:
    lines = Path("runs", name, "progress.csv").read_text().splitlines()
    columns = lines[0].split(",")
    cells = [line.split(",") for line in lines[1:]]
    return [(int(row[0]), float(row[columns.index(column)])) for row in cells if row[columns.index(column)]]


def test_a_tracker_gets_the_configuration_every_game_and_every_row(recorder: type[Recorder]) -> None:
    options = ("--track", "trackio", "--track-project", "poles")
    assert train("dqn", "--steps", "300", "--name", "a", *options) == 0
    (tracker,) = recorder.opened
    assert (tracker.run.project, tracker.run.name, tracker.run.step) == ("poles", "a", 0)
    assert tracker.run.config["batch_size"] == 4
    assert tracker.logged("train/loss") == rows("a", "loss")
    assert tracker.logged("replay/size") == rows("a", "buffer_size")
    games = Path("runs/a/episodes.csv").read_text().splitlines()[1:]
    assert len(tracker.logged("episode/score")) == len(games)
    assert tracker.calls[-1] == ("close",)
    saved = json.loads(Path("runs/a/tracking.json").read_text())
    assert saved == {"tracker": "trackio", "project": "poles", "id": "id-0"}


def test_a_resumed_run_goes_on_where_it_was_tracked(recorder: type[Recorder]) -> None:
    assert train("dqn", "--steps", "100", "--name", "a", "--track", "trackio", "--track-project", "p") == 0
    assert cli.main(["train", "--resume", "a", "--steps", "200"]) == 0
    assert cli.main(["train", "--resume", "a", "--steps", "300", "--track", "trackio"]) == 0
    assert [(one.id, one.run.project, one.run.step) for one in recorder.opened] == [
        ("id-0", "p", 0),
        ("id-0", "p", 100),
        ("id-0", "p", 200),
    ]
    steps = [step for one in recorder.opened for step, _ in one.logged("replay/size")]
    assert steps == [50, 100, 150, 200, 250, 300]


def test_a_run_without_a_tracker_can_get_one_when_it_is_resumed(recorder: type[Recorder]) -> None:
    assert train("dqn", "--steps", "100", "--name", "a") == 0
    assert not recorder.opened
    assert cli.main(["train", "--resume", "a", "--steps", "200", "--track", "trackio"]) == 0
    assert [one.run.step for one in recorder.opened] == [100]
    assert Path("runs/a/tracking.json").exists()


@pytest.mark.parametrize("where", ["init", "log", "flush", "close"])
def test_an_error_of_the_tracker_is_one_warning_and_the_run_equals_one_without(
    recorder: type[Recorder], capsys: pytest.CaptureFixture[str], where: str
) -> None:
    assert train("dqn", "--steps", "200", "--name", "plain") == 0
    recorder.fails_in = where
    capsys.readouterr()
    assert train("dqn", "--steps", "200", "--name", "tracked", "--track", "trackio") == 0
    warning = f"mujigae: warning: trackio: the run goes on without it (RuntimeError: no network in {where})"
    assert capsys.readouterr().err.splitlines() == [warning]
    assert rows("tracked", "loss") == rows("plain", "loss")
    called = [call[0] for one in recorder.opened for call in one.calls]
    assert called.count(where) == called.count("close") == (where != "init")
    assert called[-1:] == ["close"] * (where != "init")


def test_a_tracker_that_fails_is_closed_even_where_that_fails_too(
    recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def close(tracker: Recorder) -> None:
        tracker.calls.append(("close",))
        raise OSError("no network, once more")

    recorder.fails_in = "flush"
    monkeypatch.setattr(recorder, "close", close)
    assert train("dqn", "--steps", "200", "--name", "a", "--track", "trackio") == 0
    (tracker,) = recorder.opened
    assert [call[0] for call in tracker.calls if call[0] != "log"] == ["init", "flush", "close"]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_tracker_that_is_not_installed_is_one_line_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    said = error_of(capsys, "train", "dqn", "--track", "wandb")
    assert 'wandb is not installed; it comes with: python -m pip install "mujigae[wandb]"' in said
    assert not Path("runs").exists()
    assert "track: expected one of wandb, mlflow, trackio" in error_of(capsys, "train", "dqn", "--track", "x")


@pytest.mark.parametrize("project", ["a/b", "", "x" * 129, "a\nb"])
def test_a_project_that_a_resumed_run_could_not_read_back_is_one_line_and_nothing_is_written(
    recorder: type[Recorder], capsys: pytest.CaptureFixture[str], project: str
) -> None:
    said = error_of(capsys, "train", "dqn", "--track", "trackio", "--track-project", project)
    assert "track_project: expected" in said
    assert not Path("runs").exists()
    assert not recorder.opened


def test_a_tracker_whose_id_cannot_be_kept_is_closed(
    recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, text: str) -> None:
        raise MujigaeError(f"{path}: could not be written (No space left on device)")

    monkeypatch.setattr(opening, "write_whole", full)
    assert train("dqn", "--steps", "100", "--name", "a", "--track", "trackio") == 0
    (tracker,) = recorder.opened
    assert tracker.calls == [("init",), ("close",)]
    assert "No space left on device" in capsys.readouterr().err


def test_a_table_that_cannot_be_closed_leaves_no_tracker_open(
    recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    close = Table.close

    def full(table: Table) -> None:
        close(table)
        raise MujigaeError("progress.csv: could not be written (No space left on device)")

    monkeypatch.setattr(Table, "close", full)
    assert train("dqn", "--steps", "100", "--name", "a", "--track", "trackio") == 2
    assert recorder.opened[0].calls[-1] == ("close",)
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"tracker": "os", "project": "p", "id": "a"}', '{"tracker": "trackio", "project": "p", "id": "../a"}',
     '{"tracker": "trackio", "project": "a/b", "id": "a"}', '{"tracker": ["trackio"], "project": "p", "id": "a"}'],
)  # fmt: skip
def test_a_tracking_file_that_is_none_of_ours_is_one_line(
    recorder: type[Recorder], capsys: pytest.CaptureFixture[str], content: str
) -> None:
    assert train("dqn", "--steps", "100", "--name", "a") == 0
    Path("runs/a/tracking.json").write_text(content)
    capsys.readouterr()
    assert "a/tracking.json: " in error_of(capsys, "train", "--resume", "a", "--steps", "200")
    assert not recorder.opened
