"""Threads, forks and pickles."""

from __future__ import annotations

import multiprocessing
import os
import threading
from typing import Any

import numpy as np

from mujigae.conformance.adapter import Batch
from mujigae.conformance.case import Subject, case
from mujigae.conformance.cases.storage import copied, same
from mujigae.conformance.ledger import Ledger, require


@case("T14", "pytorch/rl#2205; google-deepmind/reverb")
def one_writer_and_several_samplers_work_at_once(subject: Subject) -> None:
    """An actor adds while learners draw and update.
    Every batch is right, and none that is in hand changes."""
    subject.needs("threads")
    prioritized = "prioritized" in subject.adapter.offers
    ledger = subject.ledger(256, prioritized=prioritized)
    ledger.fill(256)
    batches: list[tuple[Batch, Batch]] = []
    errors: list[Exception] = []

    def learn() -> None:
        try:
            for _ in range(60):
                batch = ledger.buffer.sample(32)
                batches.append((batch, copied(batch)))
                if prioritized:
                    ledger.buffer.update_priorities(batch.key, np.ones(32))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=learn) for _ in range(3)]
    for thread in threads:
        thread.start()
    ledger.fill(400)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    for batch, then in batches:
        require(same(batch, then), "expected a batch in hand to stay as it was drawn")
        ledger.check(batch)


@case("T14", "DLR-RM/stable-baselines3#238; cpprb 11.0.0")
def pickled_buffer_goes_on_in_the_middle_of_an_episode(subject: Subject) -> None:
    """Buffers are handed to spawned processes and into checkpoints by pickle.
    What comes out has the rows, and goes on with the open episode."""
    ledger = _open(subject)
    twin = ledger.copy()
    twin.buffer = ledger.buffer.pickled()
    twin.draw(200, ["obs", "reward"])
    twin.episode(3, "")
    twin.draw(200, ["obs", "reward"])


@case("T14", "google-deepmind/acme; pytorch/rl#3714")
def forked_child_draws_what_its_parent_would(subject: Subject) -> None:
    """A fork copies the buffer as it stands.
    The child can draw, and rows in the parent stay as they are."""
    ledger = _open(subject)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send_a_batch, args=(ledger, sender))
    child.start()
    answered = receiver.poll(30)
    got: Any = receiver.recv() if answered else "no answer in 30 seconds"
    if not answered:
        child.kill()
    child.join()
    require(got == "", f"expected the child to draw what was added, got {got}")
    ledger.draw(200, ["obs", "reward"])


def _send_a_batch(ledger: Ledger, sender: Any) -> None:
    try:
        ledger.draw(200, ["obs", "reward"])
        sender.send("")
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")
    finally:
        sender.close()
        os._exit(0)


def _open(subject: Subject) -> Ledger:
    """Half full, with an open episode."""
    ledger = subject.ledger(64, prioritized="prioritized" in subject.adapter.offers)
    ledger.fill(30, ["terminated"])
    ledger.episode(3, "")
    return ledger
