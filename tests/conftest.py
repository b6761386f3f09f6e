"""Says which build is under test, and runs the tests that may go on for as long as one likes.

A test that takes the fixture `rounds` is one of those. By default it sees a few fixed seeds. `pytest --long` runs only
those tests, each with fresh seeds for its share of `--long-minutes`, and writes what they counted to
`bench/results/reliability.json` (options that have values want an equals sign: `--long-minutes=2`):

    def test_a_killed_writer_loses_nothing(rounds, tmp_path):
        for seed in rounds(few=3):
            ...
            rounds.count("kills survived")
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import mujigae

REPORT = Path("bench/results/reliability.json")
PARTS = pytest.StashKey[dict[str, "Rounds"]]()


class Rounds:
    """Seeds for one test, and what it counted."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds  # None: the few seeds of a default run
        self.counts: Counter[str] = Counter()
        self.num_rounds, self.began, self.outcome = 0, time.monotonic(), "not finished"

    @property
    def is_long(self) -> bool:
        return self.seconds is not None

    def __call__(self, few: int = 1) -> Iterator[int]:
        self.began = time.monotonic()
        while not self._is_over(few):
            yield self.num_rounds if self.seconds is None else secrets.randbits(32)
            self.num_rounds += 1

    def _is_over(self, few: int) -> bool:
        return self.num_rounds >= few if self.seconds is None else self.seconds_left <= 0.0

    @property
    def seconds_left(self) -> float:
        """Of this test's share; endless in a default run, which ends by its few seeds."""
        return float("inf") if self.seconds is None else self.seconds - (time.monotonic() - self.began)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mujigae")
    group.addoption("--long", action="store_true", help="only tests that take `rounds`, with fresh seeds")
    group.addoption("--long-minutes", type=float, default=60.0, help="for all of them together (60)")
    group.addoption("--long-report", type=Path, default=REPORT, help=f"the JSON that it writes ({REPORT})")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """None of a long run, which counts what its tests did in this process; else as many as pytest-xdist chooses."""
    return 0 if config.getoption("long") else None


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PARTS] = {}
    if config.getoption("numprocesses", None):
        # Inherited by the workers: threads that spin beside another test's are many times slower than one.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A default run is the same run every time; what chance may find is what `--long` is for.
    hypothesis.settings.register_profile("mujigae", derandomize=not config.getoption("long"))
    hypothesis.settings.load_profile("mujigae")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    is_long_only = collection_path.parent.name == "long"
    return True if is_long_only and not config.getoption("long") else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    if config.getoption("long"):
        others = [item for item in items if "rounds" not in item.fixturenames]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if "rounds" in item.fixturenames]


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Rounds:
    is_long = request.config.getoption("long")
    share = request.config.getoption("long_minutes") * 60 / len(request.session.items) if is_long else None
    parts = request.config.stash[PARTS]
    return parts.setdefault(request.node.nodeid, Rounds(share))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    report = yield
    part = item.config.stash[PARTS].get(item.nodeid)
    if part is not None and (report.when == "call" or report.failed):
        part.outcome = report.outcome
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    parts = session.config.stash[PARTS]
    if session.config.getoption("long") and parts:
        report = session.config.getoption("long_report")
        report.write_text(json.dumps(reliability(parts), indent=2, ensure_ascii=False) + "\n")


def reliability(parts: dict[str, Rounds]) -> dict[str, Any]:
    """What a long run has to say."""
    totals = Counter[str]()
    for part in parts.values():
        totals.update(part.counts)  # zeros are kept: no race found is worth saying
    fixed = Path(__file__).parent / "long" / "fixed.txt"
    return {
        "command": shlex.join(["pytest", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": versions(),
        "totals": dict(sorted(totals.items())),
        "failed": [name for name, part in parts.items() if part.outcome != "passed"],
        "tests": {
            name: {
                "outcome": part.outcome,
                "seconds": round(part.seconds or 0.0),
                "rounds": part.num_rounds,
                **part.counts,
            }
            for name, part in parts.items()
        },
        "fixed": [line for line in fixed.read_text().splitlines() if line] if fixed.exists() else [],
    }


def versions() -> dict[str, str]:
    info = mujigae.build_info()
    return {
        "mujigae": info["version"],
        "compiler": info["compiler"],
        "instruction set": info["active_instruction_set"],
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "hypothesis": metadata.version("hypothesis"),
    }


def pytest_report_header() -> str:
    info = mujigae.build_info()
    return f"mujigae {info['version']}, compiler {info['compiler']}, {info['active_instruction_set']}"
