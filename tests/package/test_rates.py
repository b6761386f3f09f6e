"""bench/train/rates.py: a gate in anybody's training loop, one update in four steps checked, and who fails leaves a row."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest


def requests(*asked: dict[str, Any]) -> io.StringIO:
    return io.StringIO("".join(json.dumps(request) + "\n" for request in asked))


def test_gate_lets_the_loop_run_for_updates_and_for_seconds_and_counts_both(modules: Any) -> None:
    answers, now = io.StringIO(), [0.0]
    asked = requests(
        {"do": "warm", "updates": 2}, {"do": "time", "seconds": 5.0}, {"do": "warm", "updates": 9}
    )
    gate = modules["core.training_worker"].Gate(asked, answers, lambda: now[0])
    gate.wait()
    for step in range(1, 17):
        now[0] += 1.0
        if step % 4 == 0:
            gate.count_update()
        gate.passed(1)
    told = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert [(answer["steps"], answer["updates"], answer["seconds"]) for answer in told] == [
        (8, 2, 8.0),
        (5, 1, 5.0),
    ]


def visit(steps: int, updates: int, seconds: float = 1.0) -> dict[str, Any]:
    return {"status": "ok", "steps": steps, "updates": updates, "seconds": seconds, "cpu_seconds": seconds}


def test_best_visit_counts_and_the_spread_is_told(modules: Any) -> None:
    row = modules["train.rates"].summary([visit(400, 100), visit(400, 100, 0.8)])
    assert (row["steps_per_second"], row["spread"]) == (500.0, 0.25)


def test_trainer_that_does_not_update_once_in_four_steps_is_no_measurement(modules: Any) -> None:
    row = modules["train.rates"].summary([visit(400, 50)])
    assert row == {"status": "failed", "reason": "50 updates in 400 steps, not one in four"}


def test_each_row_of_the_ablation_adds_one_switch(modules: Any) -> None:
    rows = list(modules["train.rates_plan"].added_one_by_one().values())
    for before, after in itertools.pairwise(rows):
        assert len(set(after.switches.items()) - set(before.switches.items())) == 1
        assert before.switches.keys() <= after.switches.keys()


def test_fastest_row_of_the_ablation_meets_the_peers(modules: Any) -> None:
    def row(group: str, rate: float, **switches: Any) -> dict[str, Any]:
        return {"group": group, "status": "ok", "steps_per_second": rate, "switches": switches}

    rows = [
        row("ablation", 90.0, num_envs=16),
        row("ablation", 80.0, num_envs=16, overlap=True),
        row("ablation", 900.0, device="cuda"),
        row("peers", 100.0, num_envs=1),
        {"group": "ablation", "status": "failed", "reason": "gone", "switches": {}},
    ]
    assert modules["train.rates"].fastest(rows) == {"num_envs": 16}
    assert modules["train.rates"].fastest([]) == modules["train.rates_plan"].BEST


def test_who_cannot_start_leaves_a_row_that_says_why(
    modules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates, plan = modules["train.rates"], modules["train.rates_plan"]
    trainers = {
        "gone": plan.Trainer("bench.peers.nowhere:Training"),
        "other": plan.Trainer("bench.peers.mujigae:Training", {"device": "cuda"}, needs_cuda=True),
    }
    monkeypatch.setattr(rates, "has_cuda", lambda: False)
    rows = {
        row["subject"]: row
        for row in rates.group(
            "peers", trainers, plan.QUICK, rates.Files(tmp_path, None, None), {"subjects": {}}
        )
    }
    assert rows["gone"]["status"] == "failed"
    assert "bench.peers.nowhere" in rows["gone"]["reason"]
    assert (rows["other"]["status"], rows["other"]["reason"]) == ("not offered", "needs a GPU")


def results(**rates: float) -> dict[str, Any]:
    def row(group: str, subject: str, rate: float) -> dict[str, Any]:
        return {"group": group, "subject": subject, "status": "ok", "steps_per_second": rate, "switches": {}}

    rows = [row("peers", name, rate) for name, rate in rates.items()]
    rows += [row("ablation", "nothing", 50.0), row("ablation", "+ overlap", 60.0)]
    rows.append({"group": "ablation", "subject": "on CUDA", "status": "not offered", "reason": "needs a GPU"})
    return {
        "machine": {"processor": "Abacus", "cores": 2},
        "measured_at": "2026-01-02",
        "protocol": {
            **{"batch_size": 32, "steps_per_update": 4, "torch_threads": 2, "peer_visits": 3},
            **{"peer_seconds": 30.0, "ablation_visits": 2, "ablation_seconds": 12.0},
        },
        "groups": {"peers": {"load": [2.0]}, "ablation": {"load": [1.5]}},
        "subjects": {"CleanRL": {"name": "CleanRL rainbow_atari.py", "version": "fe8d"}},
        "rows": rows,
    }


def test_section_compares_side_by_side_and_says_what_is_missed(modules: Any) -> None:
    table, report = modules["rates_table"], modules["report"]
    text = table.section(results(mujigae=120.0, CleanRL=40.0), report.table)
    assert "| CleanRL rainbow_atari.py fe8d | 40 | 3.00 x |" in text
    assert "3.00 times, missed by 50%" in text
    assert "| + overlap | 60 | 1.20 x |" in text
    assert "| on CUDA | needs a GPU |  |" in text
    assert "met." in table.section(results(mujigae=240.0, CleanRL=40.0), report.table)


def test_section_is_written_of_whatever_is_measured_so_far(modules: Any) -> None:
    table, report = modules["rates_table"], modules["report"]
    begun = results(CleanRL=40.0)
    assert "not measured" in table.section(begun, report.table)
    begun["rows"] = [row for row in begun["rows"] if row["group"] == "ablation"]
    assert "| + overlap | 60 | 1.20 x |" in table.section(begun, report.table)
    assert "Not measured yet" in table.section(None, report.table)
