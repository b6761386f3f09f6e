"""Snapshots of every kind of buffer: each damaged byte is detected, and no lie makes a broken buffer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import KINDS, damaged, load_and_use, mended, snapshot

import mujigae


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_byte_of_every_kind_is_detected(kind: str, tmp_path: Path) -> None:
    content = snapshot(kind, tmp_path / "buffer")
    assert mended(content) == content
    assert mujigae.load(tmp_path / "buffer").check_valid()
    with (tmp_path / "buffer").open("r+b", buffering=0) as file:
        for i in range(len(content)):
            os.pwrite(file.fileno(), bytes([content[i] ^ 0x41]), i)
            with pytest.raises(mujigae.SnapshotError, match="buffer: "):
                mujigae.load(tmp_path / "buffer")
            os.pwrite(file.fileno(), content[i : i + 1], i)
    assert mujigae.load(tmp_path / "buffer").check_valid()


def test_a_file_that_lies_is_refused_or_makes_a_valid_buffer(rounds: Any, tmp_path: Path) -> None:
    for seed in rounds(few=len(KINDS)):
        kind = list(KINDS)[seed % len(KINDS)]
        rng = np.random.default_rng(seed)
        content = snapshot(kind, tmp_path / "whole", num_steps=int(rng.integers(0, 12)), seed=seed)
        for _ in range(200):
            (tmp_path / "buffer").write_bytes(damaged(content, rng))
            rounds.count("files that made a buffer", load_and_use(tmp_path / "buffer"))
        rounds.count("files fuzzed", 200)
