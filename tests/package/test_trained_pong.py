"""examples/trained_pong plays as its card says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pages import ROOT

TRAINED = ROOT / "examples/trained_pong"


def test_trained_pong_is_pulled_and_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("ale_py")
    from mujigae import cli

    monkeypatch.chdir(tmp_path)
    assert cli.main(["pull", str(TRAINED)]) == 0
    assert cli.main(["evaluate", "trained_pong", "--best", "--episodes", "2"]) == 0
    mean = float(capsys.readouterr().out.splitlines()[-1].split()[1])
    assert mean >= json.loads((TRAINED / "best/state.json").read_text())["evaluation"]["mean_return"] - 3.0
    assert mean >= 18.0


def test_trained_pong_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in TRAINED.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 2**23
    assert "agent.safetensors" not in sizes
