"""Arrays of every kind: stored exactly or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mujigae.conformance.adapter import Adapter, Config
from mujigae.conformance.case import Subject, case
from mujigae.conformance.cases.priorities import refusal, require_share, set_all
from mujigae.conformance.ledger import require

SHAPE = (6, 4)


def _read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "not contiguous": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "in Fortran order": np.asfortranarray,
    "read-only": lambda array: _read_only(array.copy()),
    "reversed": lambda array: array[..., ::-1].copy()[..., ::-1],
}


@case("T13", "pytorch/rl#2205; Gymnasium wrappers that transpose")
def arrays_of_every_layout_are_stored_as_they_read(subject: Subject) -> None:
    """Transposed images, slices and read-only views are what environments return.
    Their values count, not their memory."""
    image = np.arange(24, dtype=np.uint8).reshape(1, *SHAPE)
    for layout, made in LAYOUTS.items():
        buffer = subject.make(Config(4, frame_shape=SHAPE))
        for t in range(2):
            _add(buffer, made(image + 100 * t), made(image + 100 * t + 100))
        batch = buffer.sample(64)
        obs, next_obs = np.asarray(batch.obs), np.asarray(batch.next_obs)
        is_exact = all(a[0, 0] in (0, 100) and np.array_equal(a, image[0] + a[0, 0]) for a in obs)
        is_exact &= np.array_equal(obs + 100, next_obs)
        require(
            is_exact,
            f"expected an array {layout} to come back as it reads, got {obs[0, 0]} and {next_obs[0, 0]}",
        )


def _add(buffer: Adapter, obs: Any, next_obs: Any) -> None:
    no = np.array([False])
    buffer.add(obs, np.array([1]), np.array([1.0]), next_obs, no, no)


@case("T13", "DLR-RM/stable-baselines3#40; pytorch/rl#2205")
def observations_of_another_type_are_refused_or_kept_exactly(subject: Subject) -> None:
    """Normalised images stored as bytes are all zeros, without an error or a warning.
    Values that do not fit the stored type are an error."""
    image = np.full((1, *SHAPE), 0.5, np.float64)
    buffer = subject.make(Config(4, frame_shape=SHAPE))
    try:
        for _ in range(2):
            _add(buffer, image, image)
    except Exception:
        return
    got = np.asarray(buffer.sample(1).obs).reshape(-1)[0]
    require(got == 0.5, f"expected 0.5 to be refused where bytes are stored, got {got}")


@case("T13", "pytorch/rl#2205; tensorforce#45")
def keys_that_were_never_issued_reach_no_row(subject: Subject) -> None:
    """A negative index counts from the end in Python, and one past the end is somebody else's memory in C.
    Both are refused or ignored."""
    ledger = subject.ledger(8, prioritized=True)
    ledger.episode(8, "")
    rows = list(set_all(ledger, 1.0))
    for bad in (-1, 8_000_000):
        refusal(ledger.buffer, np.array([bad], np.int64), np.array([1e6]))
    ledger.draw(64)
    for row in (rows[0], rows[-1]):
        require_share(ledger, [row], 1 / len(rows), f"one of {len(rows)} equal rows")


@case("T13", "pytorch/rl#2205")
def keys_of_any_integer_type_are_the_same_keys(subject: Subject) -> None:
    """Indices pass through lists, unsigned types and slices of larger arrays on their way back.
    The rows that they mean are the same."""
    ledger = subject.ledger(8, prioritized=True)
    ledger.episode(8, "")
    keys = set_all(ledger, 1.0)
    row = list(keys)[5]
    key = np.array([keys[row]]).astype(np.int64)
    for made in (key.astype(np.uint64), np.repeat(key, 2)[::2], key.tolist()):
        set_all(ledger, 1.0)
        if not refusal(ledger.buffer, made, np.array([len(keys) - 1.0])):
            require_share(ledger, [row], 0.5, "a row of as much priority as all others together")
