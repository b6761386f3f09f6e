"""What a million Atari transitions cost the process, all included: the claim that the engine is bought for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_BYTES_PER_ROW = 7200  # 7056 of them are the frame itself


@pytest.mark.slow
def test_a_million_atari_transitions_fit_in_7_2_gigabytes() -> None:
    cost = fill(1_000_000)
    assert cost["resident_bytes"] <= 1_000_000 * LIMIT_BYTES_PER_ROW
    assert cost["counted_bytes"] <= 1_000_000 * LIMIT_BYTES_PER_ROW


def test_counted_bytes_are_the_bytes_that_the_process_grew_by() -> None:
    cost = fill(20_000)
    assert cost["counted_bytes"] <= 20_000 * LIMIT_BYTES_PER_ROW
    assert (
        cost["resident_bytes"] <= cost["counted_bytes"] + 32_000_000
    )  # a batch, and what Python itself needs


def fill(num_rows: int) -> dict[str, int]:
    """What fill.py says of a fresh process."""
    command = [sys.executable, str(Path(__file__).with_name("fill.py")), str(num_rows)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    cost: dict[str, int] = json.loads(result.stdout)
    return cost
