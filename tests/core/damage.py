"""Snapshots of every kind of buffer, and ways to damage them: checksums left wrong, or mended so that the lie is believed."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from streams import ACTION
from twins import Column, Plan, Twins

import mujigae
from mujigae import Proportional, Uniform

UNSTACKED, STACKED = Column(1), Column(3)
KINDS: dict[str, tuple[tuple[Column, ...], str, bool, int]] = {
    "uniform array": ((UNSTACKED,), "array", False, 1),
    "prioritized array": ((UNSTACKED,), "array", True, 1),
    "uniform stack": ((STACKED,), "array", False, 1),
    "prioritized stack": ((STACKED,), "array", True, 2),
    "prioritized dict": ((STACKED, Column(1, dtype="float32")), "dict", True, 2),
    "compressed stack": ((Column(3, width=1024),), "array", True, 2),
    "uniform tuple": ((UNSTACKED, Column(2, planes=3)), "tuple", False, 2),
}


def plan_of(kind: str, capacity: int = 4) -> Plan:
    columns, structure, is_prioritized, num_envs = KINDS[kind]
    sampler = Proportional() if is_prioritized else Uniform()
    arguments = {"n_step": 2, "gamma": 0.5, "compress": "compressed" in kind, "validate": True, "seed": 0}
    return Plan(capacity, num_envs, columns, structure, 200, ACTION, sampler, arguments)


def snapshot(kind: str, path: Path, num_steps: int = 3, seed: int = 0) -> bytes:
    """The file of a small buffer that was used a little."""
    twins, rng = Twins(plan_of(kind)), np.random.default_rng(seed)
    for _ in range(num_steps):
        twins.add(rng, np.arange(twins.plan.num_envs), 0.2, 0.0)
    batch = twins.sample(4)
    if batch is not None and twins.plan.has_priorities:
        twins.update_priorities(batch.key, [0.5, 1.0, 2.0, 3.0])
    twins.compiled.save(path)
    return path.read_bytes()


def sections(content: bytes) -> Iterator[tuple[int, int]]:
    """Where each payload begins and ends."""
    at = 16
    while at + 20 <= len(content):
        length = struct.unpack_from("<Q", content, at + 4)[0]
        yield at + 16, min(at + 16 + length, len(content))
        at += 16 + length + 4


def mended(content: bytes) -> bytes:
    """The same with every checksum made right, as far as the lengths lead."""
    out = bytearray(content)
    if len(out) >= 16:
        struct.pack_into("<I", out, 12, zlib.crc32(out[:12]))
    for begin, end in list(sections(bytes(out))):
        struct.pack_into("<I", out, begin - 4, zlib.crc32(out[begin - 16 : begin - 4]))
        if end + 4 <= len(out):
            struct.pack_into("<I", out, end, zlib.crc32(out[begin:end]))
    return bytes(out)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """A random lie: bytes, words, a cut or a repetition; mostly with the checksums mended."""
    out = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        begin, end = list(sections(content))[rng.integers(0, 6)]
        kind = rng.integers(0, 4)
        if kind == 0 and end > begin:
            out[rng.integers(begin, end)] = rng.integers(0, 256)
        elif kind == 1 and end - begin >= 8:
            at = begin + 8 * rng.integers(0, (end - begin) // 8)
            value = int(rng.choice([-1, 0, 1, 2, 5, 255, 2**31, 2**40, 2**62, -(2**63)]))
            struct.pack_into("<q", out, at, value)
        elif kind == 2:
            del out[rng.integers(0, len(out)) :]
        else:
            out[begin:end] = out[begin:end] * 2
        content = bytes(out)
        if len(list(sections(content))) < 6:
            break
    return mended(content) if rng.random() < 0.9 else content


def load_and_use(path: Path) -> bool:
    """Loads a file that may be anything: either a SnapshotError, or a buffer that is valid and stays so."""
    try:
        buffer = mujigae.load(path)
    except mujigae.SnapshotError:
        return False
    assert buffer.check_valid(), buffer.check_valid().reason
    if len(buffer) > 0:
        with contextlib.suppress(
            ValueError
        ):  # leaves that are all zero, an exponent too large for these priorities
            _draw_and_update(buffer)
    assert buffer.check_valid(), buffer.check_valid().reason
    buffer.clear()
    assert buffer.check_valid()
    return True


def _draw_and_update(buffer: Any) -> None:
    batch = buffer.sample(8)
    if isinstance(buffer, mujigae.PrioritizedReplayBuffer):
        buffer.update_priorities(batch.key, np.linspace(0.0, 3.0, 8))


__all__ = ["KINDS", "damaged", "load_and_use", "mended", "plan_of", "sections", "snapshot"]
