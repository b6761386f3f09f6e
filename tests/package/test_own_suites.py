"""The runner of other libraries' tests counts what passes, leaves out what is named, and fails where a name fits nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUNNER = Path(__file__).parents[1] / "integrations"
TESTS = """
import pytest, theirs
@pytest.mark.parametrize("size", [1, 2])
def test_sizes(size): assert theirs.made(size) == "ours"
def test_private(): assert theirs.rows
@pytest.mark.skip(reason="no GPU")
def test_gpu(): pass
"""
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import own_suites
from pathlib import Path
from suites import Suite
def put_in():
    sys.path.insert(0, sys.argv[2])
    import theirs
    theirs.made = lambda size: "ours"
suite = Suite("Theirs", "pytest", ("tests/test_theirs.py",), put_in, ("made",), json.loads(sys.argv[3]))
status, found = own_suites.run(suite, Path(sys.argv[2]), with_theirs=False)
print(json.dumps([status, found.unused(), own_suites.result(suite, found, "v1")]))
"""


def ran(checkout: Path, left_out: dict[str, str]) -> tuple[int, list[str], dict[str, Any]]:
    """The status of pytest, patterns that fit nothing, and the result."""
    (checkout / "tests").mkdir()
    (checkout / "theirs.py").write_text("def made(size): return 'theirs'\n")
    (checkout / "tests/test_theirs.py").write_text(TESTS)
    command = [sys.executable, "-c", RUN, str(RUNNER), str(checkout), json.dumps(left_out)]
    variables = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # which take longer than the tests
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=60)
    status, unused, found = json.loads(done.stdout.splitlines()[-1])
    return status, unused, found


def test_what_passes_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    status, unused, found = ran(tmp_path, {"tests/test_theirs.py::test_private": "It reads rows."})
    assert (status, unused) == (0, [])
    assert (found["passed"], found["failed"], found["skipped"]) == (
        2,
        0,
        [{"reason": "Skipped: no GPU", "tests": 1}],
    )
    assert found["left_out"] == [
        {"tests": "tests/test_theirs.py::test_private", "number": 1, "reason": "It reads rows."}
    ]


@pytest.mark.parametrize("pattern", ["*::test_sizes[3]", "test_private", "*::test_size[12]"])
def test_a_pattern_that_fits_no_test_and_a_test_that_fails_are_seen(tmp_path: Path, pattern: str) -> None:
    status, unused, found = ran(tmp_path, {pattern: "No reason."})
    assert (status, unused, found["failed"]) == (1, [pattern], 1)


def test_brackets_of_a_pattern_are_those_of_the_test(tmp_path: Path) -> None:
    _, unused, found = ran(tmp_path, {"*::test_sizes[1]": "One.", "*::test_private": "It reads rows."})
    assert (unused, found["passed"]) == ([], 1)
