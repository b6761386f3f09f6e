"""Observations: stacks, the ones that are not stored twice, and what they cost."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

from mujigae.conformance.case import Subject, case
from mujigae.conformance.ledger import Ledger, require

LIMIT_BYTES = 9000  # for one row; an 84 x 84 frame is 7056 of them


def _stacked(subject: Subject, capacity: int, padding: str = "zeros") -> Ledger:
    """Stacks of four, each frame stored once where the library can."""
    frames_once = "frames_once" in subject.adapter.offers
    return subject.ledger(capacity, frame_stack=4, frames_once=frames_once, padding=padding)


def _paddings(subject: Subject) -> tuple[str, ...]:
    """The ways to begin an episode that the library takes."""
    return ("zeros", "repeat") if subject.adapter.padding == "any" else (subject.adapter.padding,)


@case("B12", "stable-baselines3 2.9.2; DLR-RM/stable-baselines3#934; vwxyzjn/cleanrl#460")
def truncated_row_keeps_its_final_observation_where_next_obs_is_not_stored(subject: Subject) -> None:
    """The observation after a truncated row is the next episode's first, and not this row's successor.
    Storing next_obs once has to keep the final one, because it is bootstrapped from."""
    ledger = subject.ledger(64, compact=True)
    for _ in range(4):
        ledger.episode(4, "truncated")
    ledger.check_all_drawn(spare=1)


@case("B13", "tianshou 2.0.1; DLR-RM/stable-baselines3#1503")
def newest_row_has_its_own_next_obs_where_next_obs_is_not_stored(subject: Subject) -> None:
    """The successor of the newest row is in no later row, and in a full buffer the next slot holds the oldest.
    The row has it all the same, or is not drawn yet."""
    ledger = subject.ledger(8, compact=True)
    for length in (3, 5, 1):
        ledger.episode(length, "")
        ledger.draw(300)


@case("T5", "DLR-RM/stable-baselines3#1503; younggyoseo/FastTD3#6; Kaixhin/Rainbow")
def stacks_at_the_write_head_have_no_newer_frames(subject: Subject) -> None:
    """In a ring the frame before the oldest one is the newest.
    A stack is what was added, or padded where the history was overwritten; it holds no newer frame."""
    for padding in _paddings(subject):
        ledger = _stacked(subject, 8, padding)
        for length in (3, 1, 6, 9, 2, 5):
            ledger.episode(length, "")
            obs = np.asarray(ledger.buffer.sample(200).obs)
            for at, stack in zip(ledger.identities(obs), obs, strict=True):
                is_history = _is_history(stack, ledger.stack(at))
                require(
                    is_history, f"{at}: expected {ledger.said(ledger.stack(at))}, got {ledger.said(stack)}"
                )


def _is_history(got: Any, added: Any) -> bool:
    """The stack that was added, from some frame on; zeros or repeats of that frame before it."""
    for first in range(len(added)):
        before = got[:first]
        if np.array_equal(got[first:], added[first:]) and not (before.any() and (before != got[first]).any()):
            return True
    return False


@case("T6", "google/dopamine; Kaixhin/Rainbow; Gymnasium FrameStackObservation")
def stacks_do_not_cross_a_reset(subject: Subject) -> None:
    """The first stacks of an episode are padded, with zeros or by repeating the first frame.
    They hold no frame of the episode before."""
    for padding in _paddings(subject):
        ledger = _stacked(subject, 64, padding)
        ledger.fill(30)
        ledger.check_all_drawn(["obs"], spare=5)


@case("T17", "DLR-RM/stable-baselines3#1936; google/dopamine#13")
def atari_transition_costs_little_more_than_its_newest_frame(subject: Subject) -> None:
    """A million stacks of four 84 x 84 frames are 56 GB with their successors, and 7 GB when each frame is stored once.
    At most 9,000 bytes a row, counters and tree included."""
    per_row = _atari(subject, 4000, episode_steps=500).buffer.nbytes / 4000
    require(per_row <= LIMIT_BYTES, f"expected at most {LIMIT_BYTES} bytes a row, got {per_row:.0f}")


@case("T17", "cpprb 11.0.0")
def memory_does_not_grow_with_the_number_of_episodes(subject: Subject) -> None:
    """A full buffer that goes on is as large as before.
    A cache for each episode's end that is never emptied fills the machine overnight."""
    ledger = _atari(subject, 1500, episode_steps=10)
    before = ledger.buffer.nbytes
    for _ in range(150):
        ledger.episode(10, "truncated")
    grown = ledger.buffer.nbytes - before
    require(grown <= before // 4, f"expected about {before} bytes as before, got {grown} more")


def _atari(subject: Subject, num_rows: int, episode_steps: int) -> Ledger:
    """A full buffer of Atari frames."""
    options: dict[str, Any] = {"frame_shape": (84, 84), "frame_stack": 4, "frames_once": True}
    options["prioritized"] = "prioritized" in subject.adapter.offers
    warm = subject.ledger(8, **options)  # what is loaded at the first use is no memory of the buffer
    warm.episode(9, "truncated")
    gc.collect()
    ledger = subject.ledger(num_rows, **options)
    for _ in range(num_rows // episode_steps + 1):
        ledger.episode(episode_steps, "truncated")
    return ledger
