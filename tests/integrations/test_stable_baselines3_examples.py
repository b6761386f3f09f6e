"""The examples of Stable-Baselines3's family, run as their users do, in a few hundred steps."""

from __future__ import annotations

import pytest
from example_runs import output_of


def test_rainbow_example_prints_its_return() -> None:
    pytest.importorskip("stable_baselines3", reason="needs stable-baselines3")
    assert "mean return" in output_of("stable_baselines3_rainbow", "--steps", "1500")


def test_sbx_example_prints_its_return() -> None:
    pytest.importorskip("sbx", reason="needs sbx-rl")
    assert "mean return" in output_of("sbx_dqn", "--steps", "1500")
