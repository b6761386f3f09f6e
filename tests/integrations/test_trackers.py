"""The real trackers, offline: a run is found in them with its curves, and a resumed one goes on in the same place."""

from __future__ import annotations

import importlib
import json
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mujigae import cli
from mujigae.runs import session

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
SMALL = [
    *(
        "--num-envs",
        "2",
        "--hidden-sizes",
        "8",
        "--head-size",
        "0",
        "--num-threads",
        "1",
        "--batch-size",
        "4",
    ),
    *("--capacity", "200", "--min-replay-steps", "20", "--checkpoint-period-steps", "100"),
    *(
        "--log-period-steps",
        "50",
        "--learn-period-steps",
        "4",
        "--num-updates",
        "1",
        "--best-episodes",
        "0",
        "--stop-evaluation",
        "None",
    ),
]


def tracked_twice(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> dict[str, str]:
    """100 steps and, resumed, 100 more; returns tracking.json."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "_draw", lambda folder, say: None)
    options = ["--track", tracker, "--track-project", "poles", "--steps", "100", "--name", "run"]
    assert cli.main(["train", "dqn", *SMALL, *options]) == 0
    first = json.loads(Path("runs/run/tracking.json").read_text())
    assert cli.main(["train", "--resume", "run", "--steps", "200"]) == 0
    assert json.loads(Path("runs/run/tracking.json").read_text()) == first
    assert "the run goes on without it" not in capsys.readouterr().err
    return dict(first)


def losses() -> list[tuple[int, float]]:
    lines = [line.split(",") for line in Path("runs/run/progress.csv").read_text().splitlines()]
    at = lines[0].index("loss")
    return [(int(line[0]), float(line[at])) for line in lines[1:]]


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install 'mujigae[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    saved = tracked_twice("wandb", tmp_path, monkeypatch, capsys)
    files = sorted(Path("runs/run/wandb").glob(f"offline-run-*/run-{saved['id']}.wandb"))
    assert len(files) == 2  # `wandb sync` makes one run of them: they have one id
    found = [history for file in files for history in wandb_history(file)]
    assert [(int(one["step"]), one["train/loss"]) for one in found if "train/loss" in one] == losses()
    assert sum("episode/score" in one for one in found) > 0


def wandb_history(file: Path) -> list[dict[str, Any]]:
    """What was logged."""
    proto = importlib.import_module("wandb.proto.wandb_internal_pb2")
    found = []
    for data in leveldb_records(file.read_bytes()):
        record = proto.Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            found.append(
                {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
            )
    return found


def leveldb_records(log: bytes) -> Iterator[bytes]:
    """Those of a LevelDB log, as wandb writes it: blocks of 32 KiB, parts with a head of checksum, length and kind."""
    block, head, at, data = 2**15, 7, 7, b""  # wandb's own head comes first
    while at + head <= len(log):
        if block - at % block < head:
            at += block - at % block
            continue
        length, kind = struct.unpack_from("<HB", log, at + 4)
        data += log[at + head : at + head + length]
        at += head + length
        if kind in (1, 4):  # whole, or the last part
            yield data
            data = b""


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'mujigae[mlflow]'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    saved = tracked_twice("mlflow", tmp_path, monkeypatch, capsys)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("poles")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.run_name, run.info.status) == (saved["id"], "run", "FINISHED")
    assert run.data.params["batch_size"] == "4"
    history = client.get_metric_history(saved["id"], "train/loss")
    assert [(one.step, one.value) for one in history] == losses()
    assert client.get_metric_history(saved["id"], "episode/score")


def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    pytest.importorskip("trackio", reason="trackio is not installed: pip install 'mujigae[trackio]'")
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    saved = tracked_twice("trackio", tmp_path, monkeypatch, capsys)
    with sqlite3.connect(storage.get_project_db_path("poles")) as db:
        found = db.execute("select step, run_name, metrics from metrics order by step, id").fetchall()
    assert {name for _, name, _ in found} == {saved["id"]}
    logged = [(step, json.loads(values)) for step, _, values in found]
    assert [(step, one["train/loss"]) for step, one in logged if "train/loss" in one] == losses()
    assert any("episode/score" in one for _, one in logged)
