"""The scripts of bench/, which is not installed, for the tests of what they do."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


class Scripts(dict[str, ModuleType]):
    """Each script by its name within bench/, imported when it is asked for."""

    def __missing__(self, name: str) -> ModuleType:
        self[name] = importlib.import_module(f"bench.{name}")
        return self[name]


@pytest.fixture(scope="module")
def modules() -> Iterator[Scripts]:
    """The scripts, as they import each other."""
    before = list(sys.path)
    sys.path.insert(0, str(ROOT))
    yield Scripts()
    sys.path[:] = before
