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

    monkeypatch.setattr(modules["core.children"], "environment", environment)
    size = plan.QUICK._replace(seconds=0.005, visits=2)
    group = plan.Group("tree", "tree", (("draw", 32), ("update", 32)), 1000)
    run = speed.Run(tmp_path, tmp_path / "no.whl", size, subjects)
    return list(run.group(group))


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


def test_ours_are_measured_from_two_source_trees_in_one_run(modules: Any) -> None:
    speed = modules["peers.speed"]
    groups, names = speed.chosen(["ours", "add"])
    assert groups[0] == "add 1"
    assert "add dict 8" in groups
    assert set(names) == {name for name in modules["core.speed_plan"].SUBJECTS if name.startswith("mujigae")}
    subjects = speed.beside(["mujigae", "numpy"], None, Path("/before/python"))
    assert list(subjects) == ["mujigae", "mujigae, against", "numpy"]
    assert (subjects["mujigae"].source, subjects["mujigae, against"].source) == (None, "/before/python")
    assert subjects["mujigae, against"].options == subjects["mujigae"].options


def test_only_names_groups_and_subjects(modules: Any) -> None:
    speed = modules["peers.speed"]
    plan = modules["core.speed_plan"]
    assert speed.chosen([]) == (list(plan.GROUPS), list(plan.SUBJECTS))
    assert speed.chosen(["tree", "cpprb"]) == (
        ["tree 10^4", "tree 10^5", "tree 2^20", "tree 10^7"],
        ["cpprb"],
    )
    assert speed.chosen(["add dict"])[0] == ["add dict 1", "add dict 8"]


def test_source_tree_without_its_compiled_module_is_refused(
    modules: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        modules["peers.speed"].parser().parse_args(["--against", str(tmp_path)])
    assert "compiled module" in capsys.readouterr().err


def measured_row(group: str, subject: str, seconds: float) -> dict[str, Any]:
    return {"group": group, "operation": "add", "batch_size": 64, "subject": subject, "seconds": seconds}


def test_rows_of_two_trees_are_compared_and_slower_ones_named(modules: Any) -> None:
    rows = [
        measured_row("add 1", "mujigae", 1.06e-6),
        measured_row("add 1", "mujigae, against", 1e-6),
        measured_row("add dict 1", "mujigae", 1.1e-6),
        measured_row("add dict 1", "mujigae, against", 2e-6),
        {**measured_row("add 8", "mujigae", 1.0), "subject": "gone"},
    ]
    compared = modules["core.comparison"].against(rows)
    assert [round(row.ratio, 2) for row in compared] == [1.06, 0.55]
    assert str(compared[0]).endswith("above 1.05")
    assert str(compared[1]).endswith("ok")
    beside = modules["core.comparison"].beside_exact_adds(rows)
    assert [(row.what, round(row.ratio, 2)) for row in beside] == [
        ("add dict 1, add 64, mujigae", 1.04),
        ("add dict 1, add 64, mujigae, against", 2.0),
    ]
