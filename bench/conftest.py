"""`pytest bench`: the same operations as bench/peers/speed.py, of mujigae and of the peers that can be imported here."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest

BOTH = {
    "mujigae": "bench.peers.mujigae:SpeedSubject",
    "torchrl": "bench.peers.torchrl:SpeedSubject",
    "tianshou": "bench.peers.tianshou:SpeedSubject",
}
TREES = BOTH | {"sumtree": "bench.peers.sumtree:SpeedSubject", "numpy": "bench.peers.numpy:SpeedSubject"}
BUFFERS = BOTH | {
    "cpprb": "bench.peers.cpprb:SpeedSubject",
    "stable_baselines3": "bench.peers.stable_baselines3:SpeedSubject",
}
RECORDED_STEPS = 12_000


def pytest_configure(config: pytest.Config) -> None:
    """The tests' own run switches benchmarks off; here they are what is wanted."""
    config.option.benchmark_disable = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """None: measurements take turns."""
    return 0


def importable(adapters: dict[str, str]) -> Any:
    """A parameter for each of these libraries that is installed."""
    return [pytest.param(path, id=name) for name, path in adapters.items() if importlib.util.find_spec(name)]


def adapter(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)()


@pytest.fixture(scope="session", params=importable(TREES))
def tree_subject(request: pytest.FixtureRequest) -> Any:
    """Each library with a tree of its own."""
    return adapter(request.param)


@pytest.fixture(scope="session", params=importable(BUFFERS))
def subject(request: pytest.FixtureRequest) -> Any:
    """Each library with a replay buffer."""
    return adapter(request.param)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of twelve games."""
    from bench.core.stream import record

    path = tmp_path_factory.mktemp("recording") / "frames.npy"
    record(path, RECORDED_STEPS)
    return path
