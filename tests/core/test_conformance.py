"""The conformance suite passes on both engines, and each group of cases can fail."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import FAULTS
from variants import Compressed, FileBacked, Prefetched

from mujigae import conformance
from mujigae.conformance import CASES, Adapter, Case, Config, run, run_case
from mujigae.conformance.__main__ import main
from mujigae.conformance.ours import Mujigae, Reference

IDS = {
    *(f"B{i}" for i in range(1, 22)),
    "B14b",
    *(f"T{i}" for i in range(1, 19)),
    *(f"S{i}" for i in range(1, 5)),
    *(f"R{i}" for i in range(1, 11)),
}
BY_NAME = {one.name: one for one in CASES}
SLOW_ON_THE_TWIN = {  # it builds its tree anew for each batch
    "draws_are_in_proportion_to_the_priorities",
    "equal_weights_never_run_over_the_end",
    "first_priority_of_a_row_is_the_one_given",
    "impossible_priorities_leave_the_buffer_as_it_was",
    "keys_of_any_integer_type_are_the_same_keys",
    "keys_that_were_never_issued_reach_no_row",
    "last_of_duplicate_priorities_wins",
    "late_priorities_do_not_touch_the_rows_that_came_since",
    "new_row_weighs_what_an_update_to_that_priority_would_give",
    "partly_filled_buffer_gives_no_unwritten_row",
    "prefix_order_is_index_order_for_every_capacity",
    "priorities_of_all_magnitudes_leave_no_trace",
    "priorities_of_an_earlier_batch_reach_its_own_rows",
    "row_without_a_priority_has_the_largest_one_given",
    "rows_beside_an_outlier_can_all_be_drawn",
    "rows_drawn_without_replacement_are_distinct",
    "sequences_are_drawn_in_proportion_to_the_priorities",
    "sums_are_those_of_the_leaves_after_any_updates",
    "uniform_share_is_added_to_the_priorities",
    "zero_priorities_neither_divide_nor_reach_unwritten_rows",
}
MAY_BE_MISSING = set() if find_spec("gymnasium") else {"all_autoreset_modes_give_the_same_rows"}


def for_twin() -> Iterator[Any]:
    for one in CASES:
        yield pytest.param(one, id=one.name, marks=[pytest.mark.slow] if one.name in SLOW_ON_THE_TWIN else [])


def test_cases_are_those_of_the_survey() -> None:
    assert {one.id for one in CASES} == IDS
    assert len(BY_NAME) == len(CASES), "names are unique"
    assert all(one.why and one.source for one in CASES)


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_compiled_engine_passes(one: Case) -> None:
    result = run_case(Mujigae, one)
    assert result.status == "passed" or one.name in MAY_BE_MISSING, result.reason
    assert result.status != "failed", result.reason


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
@pytest.mark.parametrize("variant", [Compressed, Prefetched, FileBacked])
def test_compiled_engine_passes_in_every_variant(variant: type[Adapter], one: Case) -> None:
    result = run_case(variant, one)
    if variant is FileBacked and one.name == "forked_child_draws_what_its_parent_would":
        assert "belongs to process" in result.reason, "a file stays with the process that opened it"
        return
    assert result.status == "passed" or one.name in MAY_BE_MISSING, result.reason
    assert result.status != "failed", result.reason


@pytest.mark.parametrize("one", list(for_twin()))
def test_twin_passes(one: Case) -> None:
    result = run_case(Reference, one)
    assert result.status != "failed", result.reason


@pytest.mark.parametrize(
    ("fault", "name"), [(fault, name) for fault, names in FAULTS.items() for name in names]
)
def test_case_finds_the_fault_it_is_named_for(fault: type[Adapter], name: str) -> None:
    result = run_case(fault, BY_NAME[name])
    assert result.status == "failed", f"{fault.__name__}: {result}"
    assert not result.reason.startswith("expected no error"), result.reason


def test_ids_with_a_fault_of_their_own() -> None:
    caught = {BY_NAME[name].id for names in FAULTS.values() for name in names}
    without = {"B8"} if find_spec("gymnasium") else {"B8", "T9"}
    assert IDS - caught == without, "B8 has no fault but a broken installation"


# --- the runner ---


class Hangs(Mujigae):
    """Never answers."""

    def sample(self, batch_size: int) -> Any:
        while True:
            time.sleep(0.01)


class Dies(Mujigae):
    """Takes its process along."""

    def sample(self, batch_size: int) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("is_isolated", [False, True])
def test_hang_is_a_failure(is_isolated: bool) -> None:
    (result,) = run(
        Hangs, [BY_NAME["reward_at_the_end_is_learnable"]], is_isolated=is_isolated, timeout_seconds=0.3
    )
    assert (result.status, result.reason) == ("failed", "expected an end within 0.3 seconds, got none")


def test_crash_is_a_failure_of_its_case_alone() -> None:
    cases = [
        BY_NAME["reward_at_the_end_is_learnable"],
        BY_NAME["prefix_order_is_index_order_for_every_capacity"],
    ]
    crashed, next_one = run(Dies, cases, is_isolated=True)
    assert crashed.status == "failed"
    assert "status -9" in crashed.reason
    assert next_one.status == "passed"


def test_isolated_cases_say_the_same() -> None:
    cases = [one for one in CASES if one.id in {"B1", "B21", "T17", "T1"}]
    assert run(Reference, cases, is_isolated=True) == run(Reference, cases)


def test_what_an_adapter_does_not_offer_is_no_failure() -> None:
    class Plain(Mujigae):
        offers = frozenset()

    result = run_case(Plain, BY_NAME["window_that_reaches_the_terminal_is_terminated"])
    assert (result.status, result.reason) == ("not offered", "n_step")


def test_adapter_without_methods_fails_rather_than_passes() -> None:
    class Nothing(Adapter):
        def __init__(self, config: Config) -> None:
            pass

    result = run_case(Nothing, BY_NAME["reward_at_the_end_is_learnable"])
    assert result.status == "failed"
    assert "NotImplementedError" in result.reason


# --- the command ---

BROKEN = """
from mujigae.conformance.ours import Mujigae

class Broken(Mujigae):
    def add(self, obs, action, reward, next_obs, terminated, truncated, env_ids=None):
        super().add(obs, action, reward, next_obs, terminated & False, truncated | terminated, env_ids)
"""


def test_command_exits_with_0_when_all_pass(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mujigae.conformance", "--only", "T1", "B5", "--json", "out.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("2 passed, 0 failed, 0 not offered\n")
    report = json.loads((tmp_path / "out.json").read_text())
    assert [case["id"] for case in report["cases"]] == ["B5", "T1"]
    assert report["counts"] == {"passed": 2, "failed": 0, "not offered": 0}
    assert report["packages"]["numpy"] == np.__version__


def test_command_exits_with_1_when_somebodys_buffer_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_of_somebody.py").write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["--adapter", "broken_of_somebody:Broken", "--only", "B1", "B7"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^failed +B1 .*expected terminated 1, got 0$", out, re.MULTILINE)
    assert "2 passed, 1 failed" in out


@pytest.mark.parametrize("path", ["nowhere:Nothing", "json:JSONDecoder", "json", "", "this_raises:Any"])
def test_command_refuses_what_is_no_adapter(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "this_raises.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert "--adapter: expected" in refusal(capsys, "--adapter", path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "B1", "B999"], "--only: expected ids or names of cases (--list has them), got ['B999']"),
        (["--timeout-seconds", "-1"], "--timeout-seconds: expected more than 0"),
        (["--json", "nowhere/out.json"], "--json: expected a file in a folder that can be written"),
    ],
)
def test_command_refuses_before_it_runs_anything(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(capsys, *arguments)
    assert capsys.readouterr().out == ""


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that has to end with status 2."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_list_says_every_case_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(one.name in out and one.why in out and one.source in out for one in CASES)


# --- the example of the documentation ---


def test_example_of_the_package_is_a_working_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", conformance.__doc__ or "", re.DOTALL)
    (tmp_path / "list_buffer.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    adapter = importlib.import_module("list_buffer").ListBuffer
    results = {result.name: result for result in run(adapter)}
    assert [result for result in results.values() if result.status == "failed"] == []
    assert results["reward_at_the_end_is_learnable"].status == "passed"
    assert results["window_that_reaches_the_terminal_is_terminated"].status == "not offered"
