"""bench/report.py's speed section: out of any results, complete or not, come a table, a page and pictures that know their source."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def row(group: str, operation: str, batch_size: int, subject: str, **answer: Any) -> dict[str, Any]:
    named = {"group": group, "operation": operation, "batch_size": batch_size, "subject": subject}
    return named | {"status": "ok", "spread": 0.1, **answer}


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    machine = {"processor": "Abacus", "cores": 2, "instruction_sets": ["avx2"]}
    subjects = {
        "cpprb": {"name": "cpprb", "version": "11.0.0"},
        "mujigae": {"name": "mujigae", "version": "1"},
    }
    data = {
        "machine": machine,
        "measured_at": "2026-01-02",
        "protocol": {"visits": 6},
        "groups": {"atari": {"load": [0.5]}},
    }
    path = folder / "abacus-2core/speed.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data | {"subjects": subjects, "rows": rows, "games": ["Pong"]}))
    return path


ROWS = [
    row("atari", "cycle", 32, "mujigae", seconds=100e-6),
    row("atari", "cycle", 32, "cpprb", seconds=900e-6),
    row("atari", "cycle", 32, "cpprb, torch 2.15", seconds=300e-6),
    row("atari", "cycle", 32, "floor, 1 thread", seconds=80e-6),
    row("atari", "cycle", 256, "mujigae, compress=True", status="failed", reason="AssertionError: pixels differ"),
    row("atari", "fill", 0, "mujigae", num_rows=100, resident_bytes=720_001),
    row("tree 2^20", "update", 32, "mujigae", seconds=2e-6),
    row("tree 2^20", "update", 32, "torchrl", seconds=1e-6),
    row("tree 2^20", "update", 32, "numpy", seconds=1e-7),
]  # fmt: skip


def verdicts(modules: Any, path: Path) -> dict[str, list[str]]:
    table = modules["speed_table"].targets_table(modules["speed_results"].Results(path))
    return {line[0]: line[1:] for line in table[1:]}


def test_peer_counts_beside_the_torch_with_which_it_is_faster(modules: Any, tmp_path: Path) -> None:
    line = verdicts(modules, written(tmp_path, ROWS))["Atari cycle, B = 32"]
    assert line[0] == "3x"
    assert line[3] == "met"
    assert line[5] == "cpprb 300 us"


def test_target_that_is_missed_says_by_how_much(modules: Any, tmp_path: Path) -> None:
    lines = verdicts(modules, written(tmp_path, ROWS))
    assert lines["Atari cycle, B = 32, efficiency"][0] == "0.80 of floor"
    assert lines["Atari cycle, B = 32, efficiency"][3].startswith("missed: 94% of the target; [tried](")
    assert lines["Atari memory, a transition"][3].startswith("missed")
    update = lines["tree update of random leaves, N = 2^20, B = 32"]
    assert update[0] == "0.5x", "NumPy's assignment is no update of a tree"
    assert update[3].startswith("missed: 38% of the target; [tried](")


def test_row_that_failed_says_why(modules: Any, tmp_path: Path) -> None:
    path = written(tmp_path, ROWS)
    lines = verdicts(modules, path)
    assert lines["Atari cycle, B = 256, `compress=True`"][3] == "failed: AssertionError: pixels differ"
    assert lines["Atari cycle, B = 256"][3] == "not measured"
    page = modules["speed_table"].page(modules["speed_results"].Results(path), modules["report"].table)
    assert "mujigae, compress=True: failed: AssertionError: pixels differ (atari cycle 256)" in page


def test_pictures_are_stale_once_the_numbers_change(modules: Any, tmp_path: Path) -> None:
    plots, results = modules["speed_plots"], modules["speed_results"]
    path = written(tmp_path, ROWS)
    assert not plots.are_current(results.Results(path))
    plots.draw(results.Results(path))
    assert plots.are_current(results.Results(path))
    written(tmp_path, [*ROWS, row("tree 10^4", "draw", 32, "mujigae", seconds=1e-6)])
    assert not plots.are_current(results.Results(path))


def test_check_covers_readme_page_and_pictures(
    modules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = modules["report"]
    path = written(tmp_path / "bench/results", ROWS)
    readme = tmp_path / "README.md"
    readme.write_text("<!-- targets: written by bench/report.py -->\n<!-- end -->\n")
    for name, value in {
        "ROOT": tmp_path,
        "RESULTS": path.parents[1],
        "READMES": (readme,),
        "PAGES": {},
    }.items():
        monkeypatch.setattr(report, name, value)

    def status(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["report.py", *arguments])
        return int(report.main())

    assert status("--check") == 1
    assert status() == 0
    assert status("--check") == 0
    assert "cpprb 300 us" in readme.read_text()
    for stale in (readme, path.with_name("speed.md"), path.with_name("speed.png")):
        fresh = stale.read_bytes()
        stale.write_bytes(fresh.replace(b"300", b"301") if stale.suffix == ".md" else b"\x89PNG\r\n\x1a\n")
        assert status("--check") == 1, stale
        stale.write_bytes(fresh)
    assert status("--check") == 0


def test_what_was_tried_for_a_target_has_its_section(modules: Any) -> None:
    readme = (ROOT / "bench/README.md").read_text()
    headings = {
        "#" + line[3:].lower().replace("`", "").replace(" ", "-")
        for line in readme.splitlines()
        if line.startswith("## ")
    }
    table = modules["speed_table"]
    for target in table.TARGETS:
        place = table.tried_for(target.work)
        assert place.removeprefix("bench/README.md") in headings


def test_target_of_another_machine_stands_apart(modules: Any, tmp_path: Path) -> None:
    table, results = modules["speed_table"], modules["speed_results"].Results
    here = results(written(tmp_path / "here", ROWS))
    draw = [
        row("tree 2^20", "draw", 32, name, seconds=seconds)
        for name, seconds in (("mujigae", 1e-6), ("torchrl", 5e-6))
    ]
    other = results(written(tmp_path / "other", draw))
    work = "tree draw, N = 2^20, B = 32"
    assert work not in [line[0] for line in table.targets_table(here, [other])]
    assert [line[:2] for line in table.measured_elsewhere(here, other)[1:]] == [[work, "5x"]]
    assert table.measured_elsewhere(here, here) == []
