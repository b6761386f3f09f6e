"""bench/peers/speed.py: measured in interleaved visits, and whoever fails leaves a row that says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def planned(plan: Any, adapter: str, package: str = "") -> Any:
    return plan.Planned(adapter, (package,) if package else (), frozenset(["tree"]))


@pytest.fixture
def rows(modules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A tree of a thousand leaves: of NumPy, of an adapter that is not there, and of a package that is not."""
    plan, speed = modules["core.speed_plan"], modules["peers.speed"]
    subjects = {
        "numpy": planned(plan, "bench.peers.numpy:SpeedSubject"),
        "gone": planned(plan, "bench.peers.nowhere:SpeedSubject"),
        "uninstallable": planned(plan, "bench.peers.numpy:SpeedSubject", "nowhere==1"),
    }

    def environment(cache: Path, packages: tuple[str, ...], **_: Any) -> Path:
        if packages:
            raise subprocess.CalledProcessError(1, ["pip", *packages])
        return Path(sys.executable)

    monkeypatch.setattr(speed, "SUBJECTS", subjects)
    monkeypatch.setattr(modules["core.children"], "environment", environment)
    size = plan.QUICK._replace(seconds=0.005, visits=2)
    results: dict[str, Any] = {"subjects": {}}
    group = plan.Group("tree", "tree", (("draw", 32), ("update", 32)), 1000)
    run = speed.Run(tmp_path, tmp_path / "no.whl", size, results)
    return list(run.group(group, list(subjects)))


def test_who_fails_leaves_a_row_and_the_others_go_on(rows: list[dict[str, Any]]) -> None:
    outcome = {(row["subject"], row["operation"]): row for row in rows}
    for operation in ("draw", "update"):
        measured = outcome["numpy", operation]
        assert measured["status"] == "ok"
        assert len(measured["visits"]) == 2
        assert measured["seconds"] == min(measured["visits"]) > 0
        assert outcome["gone", operation]["status"] == "failed"
        assert "bench.peers.nowhere" in outcome["gone", operation]["reason"]
        assert outcome["uninstallable", operation]["status"] == "failed"
        assert "nowhere==1" in outcome["uninstallable", operation]["reason"]


def test_rows_that_are_measured_again_take_the_place_of_the_old_ones(modules: Any) -> None:
    old = {"group": "tree", "operation": "draw", "batch_size": 32, "subject": "numpy", "seconds": 2.0}
    other = old | {"subject": "sumtree"}
    assert modules["peers.speed"].merged([old, other], [old | {"seconds": 1.0}]) == [
        old | {"seconds": 1.0},
        other,
    ]
