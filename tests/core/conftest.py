"""The fixture `impl` runs a core test on the compiled engine and on its plain-NumPy twin."""

from __future__ import annotations

from types import ModuleType

import pytest

import mujigae
from mujigae.replay import reference


@pytest.fixture(params=[mujigae, reference], ids=["compiled", "reference"])
def impl(request: pytest.FixtureRequest) -> ModuleType:
    """The module that provides SumTree, FrameRing, NStepAccumulator, ReplayBuffer and PrioritizedReplayBuffer."""
    module: ModuleType = request.param
    return module
