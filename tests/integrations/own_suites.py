"""Runs a library's own tests of its replay buffers with mujigae's classes in the place of the library's.

    python tests/integrations/own_suites.py tianshou CHECKOUT --revision v2.0.1
    python tests/integrations/own_suites.py tianshou CHECKOUT --theirs      the library's own classes, for comparison

CHECKOUT is a source tree of the library, of which nothing is copied. A test that does not apply is named in `suites/<library>.py`
with the reason; a pattern there that fits no test is an error. Exits 1 where a test fails. `--json bench/results/own_suites.json`
writes what passed and what was left out.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import sys
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

LIBRARIES = ("agilerl", "cpprb", "skrl", "stable_baselines3", "tianshou", "torchrl")


class Selection:
    """A pytest plugin: deselects what is left out, and counts the rest."""

    def __init__(self, root: Path, left_out: dict[str, str]) -> None:
        self.root, self.left_out = root, left_out
        self.num_left_out: Counter[str] = Counter()
        self.passed: list[str] = []
        self.failed: list[str] = []
        self.skipped: dict[str, str] = {}

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """Takes away the tests that a pattern fits; the first one that does counts."""
        kept, dropped = [], []
        for item in items:
            pattern = next(
                (one for one in self.left_out if fnmatchcase(self.name_of(item), _literal(one))), None
            )
            (kept if pattern is None else dropped).append(item)
            self.num_left_out.update([] if pattern is None else [pattern])
        items[:] = kept
        config.hook.pytest_deselected(items=dropped)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Notes how a test ended, by the name that a pattern has to fit."""
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.skipped:
            self.skipped[report.nodeid] = (
                report.longrepr[2] if isinstance(report.longrepr, tuple) else "xfail"
            )
        elif report.when == "call" and not hasattr(report, "context"):  # a subtest has one, and is no test
            self.passed.append(report.nodeid)

    def name_of(self, item: Any) -> str:
        """file::test[parameters], the file as from the checkout."""
        return f"{item.path.relative_to(self.root).as_posix()}::{item.nodeid.partition('::')[2]}"

    def unused(self) -> list[str]:
        """Patterns that fit no test."""
        return [pattern for pattern in self.left_out if not self.num_left_out[pattern]]


def _literal(pattern: str) -> str:
    """A pattern in which only * is special: names of tests have brackets."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def run(suite: Any, checkout: Path, *, with_theirs: bool) -> tuple[int, Selection]:
    """Runs a suite in this process; the exit status of pytest, and what was counted."""
    root = checkout.resolve()
    selection = Selection(root, {} if with_theirs else dict(suite.left_out))
    if not with_theirs:
        suite.put_in()
    sys.path.insert(0, str(root))
    os.chdir(root)
    options = ["-q", "-ra", "--tb=short", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={root}"]
    status = pytest.main([*options, *(str(root / name) for name in suite.files)], plugins=[selection])
    return int(status), selection


def result(suite: Any, selection: Selection, revision: str) -> dict[str, Any]:
    """What is written of a run."""
    return {
        "name": suite.name,
        "versions": {
            name: importlib.metadata.version(name) for name in (suite.package, "torch") if _is_there(name)
        }
        | {"python": platform.python_version()},
        "revision": revision,
        "files": list(suite.files),
        "replaced": list(suite.replaced),
        "passed": len(selection.passed),
        "failed": len(selection.failed),
        "skipped": [
            {"reason": reason, "tests": count}
            for reason, count in sorted(Counter(selection.skipped.values()).items())
        ],
        "left_out": [
            {"tests": pattern, "number": selection.num_left_out[pattern], "reason": reason}
            for pattern, reason in suite.left_out.items()
        ],
    }


def _is_there(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def write(path: Path, library: str, found: dict[str, Any]) -> None:
    """Puts a library's result among the others, in the order of their names."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results[library] = found
    path.write_text(json.dumps(dict(sorted(results.items())), indent=2) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--revision", default="", help="of the checkout, for the record")
    parser.add_argument("--theirs", action="store_true", help="run everything with the library's own classes")
    parser.add_argument(
        "--json", type=Path, help="a file to write the result to, among those of other libraries"
    )
    arguments = parser.parse_args()
    json_path = arguments.json and arguments.json.resolve()
    suite = importlib.import_module(f"suites.{arguments.library}").SUITE
    status, selection = run(suite, arguments.checkout, with_theirs=arguments.theirs)
    unused = [] if arguments.theirs else selection.unused()
    if unused:
        print(f"left_out: expected patterns that fit a test, got {unused}")
    print(
        f"{suite.name}: {len(selection.passed)} passed, {len(selection.failed)} failed, "
        f"{len(selection.skipped)} skipped, {sum(selection.num_left_out.values())} left out"
    )
    is_good = status == pytest.ExitCode.OK and not unused
    if json_path and is_good and not arguments.theirs:
        write(json_path, arguments.library, result(suite, selection, arguments.revision))
    return int(not is_good)


if __name__ == "__main__":
    sys.exit(main())
