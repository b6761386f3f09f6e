"""The scripts of bench/, which are no package, for the tests of what they do."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench"


class Scripts(dict[str, ModuleType]):
    """Each script by its name, imported when it is asked for."""

    def __missing__(self, name: str) -> ModuleType:
        self[name] = importlib.import_module(name)
        return self[name]


@pytest.fixture(scope="module")
def modules() -> Iterator[Scripts]:
    """The scripts, as they see each other."""
    before = list(sys.path)
    sys.path[:0] = [str(BENCH), str(BENCH / "peers"), str(BENCH / "train")]
    yield Scripts()
    sys.path[:] = before
