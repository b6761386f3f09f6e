"""One torch thread: the networks of these tests are small, and a second thread costs more than it brings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from envs_by_hand import Registry

from mujigae.runs import session

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _account(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the key of the account that runs the tests out of them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_draw", lambda folder, say: None)


@pytest.fixture
def register() -> Iterator[Registry]:
    """Registers an environment for one test: register(entry_point) -> its id."""
    registry = Registry()
    yield registry
    registry.clear()
