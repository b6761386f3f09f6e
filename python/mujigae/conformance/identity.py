"""Identities of observations, and what follows from one: its bytes, its reward, its other fields."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "EXTRAS",
    "MARK",
    "Identity",
    "extras_of",
    "frame_in_words",
    "frame_of",
    "speed_of",
    "telling_reward",
]

MARK = 173  # in every true frame: zeros are padding
EXTRAS: dict[str, tuple[tuple[int, ...], Any]] = {"log_prob": ((), np.float32), "state": ((2,), np.int16)}


class Identity(NamedTuple):
    """Which observation: the one at `time` of an episode; a transition has the identity of its obs."""

    env: int
    episode: int
    time: int

    def __str__(self) -> str:
        return f"(environment {self.env}, episode {self.episode}, t = {self.time})"


def telling_reward(at: Identity) -> float:
    """A small number that tells neighbouring transitions apart."""
    return (at.env * 31 + at.episode * 17 + at.time * 5) % 23 - 7 + 0.25


def speed_of(at: Identity) -> float:
    """The entry "speed" of a dict observation."""
    return at.env * 1000.0 + at.episode * 10.0 + at.time + 0.5


def extras_of(identities: list[Identity]) -> dict[str, Any]:
    """The extras {"log_prob": [B] float32, "state": [B, 2] int16} of these transitions."""
    return {
        "log_prob": np.array([-speed_of(at) / 4 for at in identities], np.float32),
        "state": np.array([[at.episode * 8 + at.env, -at.time] for at in identities], np.int16).reshape(
            -1, 2
        ),
    }


@functools.lru_cache(maxsize=64)
def frame_of(shape: tuple[int, ...], at: Identity) -> Any:
    """A frame [*shape] uint8, read-only: its identity in six bytes, then noise that does not compress."""
    size = math.prod(shape)
    frame = np.empty(size, np.uint8)
    frame[:6] = (MARK, at.env, *at.episode.to_bytes(2, "big"), *at.time.to_bytes(2, "big"))
    first = (at.env * 101 + at.episode * 31 + at.time * 7) % 256
    frame[6:] = _noise(size)[first : first + size - 6]
    frame.flags.writeable = False
    return frame.reshape(shape)


def frame_in_words(frame: Any) -> str:
    """The identity that a frame claims, "zeros" or "noise"."""
    head = np.asarray(frame).reshape(-1)[:6].tolist()
    if head[0] != MARK:
        return "zeros" if not np.any(frame) else "noise"
    return str(Identity(head[1], 256 * head[2] + head[3], 256 * head[4] + head[5]))


@functools.lru_cache
def _noise(size: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, size + 256, dtype=np.uint8)
