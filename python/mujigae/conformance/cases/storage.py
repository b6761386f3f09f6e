"""The buffer as a thing: empty, full, cleared, saved, seeded, and its batches in hand."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import numpy as np

from mujigae.conformance.adapter import Adapter, Batch, size_of
from mujigae.conformance.case import Subject, case
from mujigae.conformance.cases.priorities import require_share, set_all
from mujigae.conformance.ledger import Ledger, require


def same(a: Batch, b: Batch) -> bool:
    """Equal in what is learned from: keys are left out, because a loaded buffer may issue new ones."""
    return all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in zip(a[:7], b[:7], strict=True))


def copied(batch: Batch) -> Batch:
    """The batch as it is now."""
    return Batch(*(None if field is None else np.array(field) for field in batch[:9]))


def _prioritized(subject: Subject) -> bool:
    return "prioritized" in subject.adapter.offers


@case("B7", "cpprb 11.0.0")
def batch_in_hand_does_not_change(subject: Subject) -> None:
    """A learner holds a batch while the next one is drawn and rows are added.
    Views of a memory that is used again change under its hands, keys too."""
    ledger = subject.ledger(32, prioritized=_prioritized(subject))
    ledger.episode(32, "")
    held = ledger.buffer.sample(16)
    before = copied(held)
    for _ in range(4):
        ledger.buffer.sample(16)
    ledger.episode(32, "")
    for field, then, now in zip(Batch._fields[:9], before[:9], held[:9], strict=True):
        unchanged = then is None or np.array_equal(np.asarray(then), np.asarray(now))
        require(unchanged, f"expected {field} to stay as it was drawn, got another one after later calls")


@case("B7", "cpprb 11.0.0")
def priorities_of_an_earlier_batch_reach_its_own_rows(subject: Subject) -> None:
    """With a batch drawn ahead, updates come one batch late.
    They belong to the rows of the batch that they were worked out from."""
    ledger = subject.ledger(32, prioritized=True)
    ledger.episode(32, "")
    num_others = len(set_all(ledger, 1.0)) - 1
    first = ledger.buffer.sample(1)
    (row,) = ledger.identities(np.array(first.obs))
    for _ in range(100):
        if ledger.identities(ledger.buffer.sample(1).obs) != [row]:
            break
    ledger.buffer.update_priorities(first.key, np.array([float(num_others)]))
    require_share(ledger, [row], 0.5, "a row of as much priority as all others together")


PROBE = """
import sys
{block}
from importlib import import_module
import numpy as np
from mujigae.conformance.adapter import Config
buffer = getattr(import_module({module!r}), {name!r})(Config(8, prioritized={prioritized}))
for t in range(8):
    obs = np.full((1, 2, 3), t, np.uint8)
    buffer.add(obs, np.array([t]), np.array([1.0]), obs + 1, np.array([False]), np.array([False]))
batch = buffer.sample(4)
if batch.key is not None:
    buffer.update_priorities(batch.key, np.ones(4))
"""


@case("B8", "torchrl 0.14.1 with torch 2.13.0")
def works_beside_another_torch_or_none(subject: Subject) -> None:
    """A compiled part that is linked to one release of torch breaks with the next.
    A fresh process without torch (or with the one installed, where torch is part of the library) can store and draw."""
    block = 'sys.modules["torch"] = None' if subject.adapter.runs_without_torch else ""
    script = PROBE.format(
        block=block,
        module=subject.adapter.__module__,
        name=subject.adapter.__name__,
        prioritized=_prioritized(subject),
    )
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{script}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    require(done.returncode == 0, f"expected a fresh process to store and draw, got {last}")


@case("B14b", "tianshou 2.0.1")
def cleared_buffer_draws_new_rows_only(subject: Subject) -> None:
    """Clearing forgets the rows and their priorities.
    A tree that stays draws slots that hold nothing, or the rows from before."""
    ledger = subject.ledger(16, prioritized=_prioritized(subject))
    ledger.episode(16, "")
    ledger.buffer.clear()
    ledger.forget()
    ledger.episode(2, "")
    seen = ledger.draw(300)
    require(seen.keys() <= set(ledger.order[0]), f"expected the two rows since, got {min(seen)}")


@case("B14b", "tianshou 2.0.1; torchrl 0.14.1")
def seed_decides_over_prioritized_draws(subject: Subject) -> None:
    """A run can be repeated only if each generator in it takes the seed.
    Two buffers of one seed give the same batches, two of different seeds do not."""
    first, again, other = (_seeded(subject, seed, prioritized=True) for seed in (7, 7, 8))
    require(_same_batches(first, again), "expected the same batches from the same seed")
    require(not _same_batches(first, other), "expected other batches from another seed")


@case("T15", "pytorch/rl; thu-ml/tianshou; DLR-RM/stable-baselines3")
def draws_neither_read_nor_move_the_global_generators(subject: Subject) -> None:
    """Exploration noise and replay draws from one global generator: a change of one changes the other.
    With a seed of its own, a buffer does not care for `np.random.seed`, and leaves NumPy's global state alone."""
    first, again = (_seeded(subject, 7) for _ in range(2))
    disturb(1)
    state = np.random.get_state(legacy=False)["state"]["key"].copy()
    drawn = [copied(first.buffer.sample(16)) for _ in range(5)]
    moved = not np.array_equal(state, np.random.get_state(legacy=False)["state"]["key"])
    disturb(2)
    require(all(same(batch, again.buffer.sample(16)) for batch in drawn), "expected the seed alone to decide")
    require(not moved, "expected NumPy's global generator to stay where it was")


def disturb(seed: int) -> None:
    """Sets the global generators."""
    np.random.seed(seed)
    random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _seeded(subject: Subject, seed: int, **options: Any) -> Ledger:
    ledger = subject.ledger(200, seed=seed, **options)
    ledger.episode(200, "")
    return ledger


def _same_batches(a: Ledger, b: Ledger) -> bool:
    return all(same(a.buffer.sample(16), b.buffer.sample(16)) for _ in range(5))


@case("B15", "dopamine-rl 4.1.2; thu-ml/tianshou#728; ray-project/ray#8151; pytorch/rl#4089")
def loaded_buffer_goes_on_as_the_saved_one(subject: Subject) -> None:
    """A run that is resumed equals one that was not only if rows, priorities, generator and open windows come back.
    200 batches after loading are the same, with updates and new rows between them."""
    subject.needs("seed")
    ledger = _busy(subject)
    twin = _reloaded(subject, ledger)
    for t in range(200):
        batch, loaded = ledger.buffer.sample(16), twin.buffer.sample(16)
        require(same(batch, loaded), f"expected batch {t} after loading to be the saved buffer's")
        _go_on(ledger, batch, t)
        _go_on(twin, loaded, t)


@case("B15", "thu-ml/tianshou#728; pfnet/pfrl#183")
def loaded_buffer_holds_the_rows_that_were_saved(subject: Subject) -> None:
    """A buffer that is gone after a restore starts the agent from nothing.
    The rows come back, each with its own successor."""
    ledger = subject.ledger(64)
    ledger.fill(50, ["terminated"])
    before = set(ledger.draw(1500, ["obs"]))
    twin = _reloaded(subject, ledger)
    after = set(twin.draw(1500, ["obs", "action", "reward"]))
    require(before == after, f"expected {len(before)} rows after loading, got {len(after & before)} of them")


def _busy(subject: Subject) -> Ledger:
    """Half full, unequal priorities, an open episode; n-step and seeded where offered."""
    wanted: dict[str, Any] = {"n_step": 3, "prioritized": True, "seed": 5}
    options = {name: value for name, value in wanted.items() if name in subject.adapter.offers}
    ledger = subject.ledger(128, **options)
    ledger.fill(90)
    if ledger.config.prioritized:
        ledger.buffer.update_priorities(ledger.buffer.sample(1).key, np.array([100.0]))  # what new rows get
    return ledger


def _go_on(ledger: Ledger, batch: Batch, t: int) -> None:
    if ledger.config.prioritized:
        ledger.buffer.update_priorities(batch.key, 1.0 + (np.arange(16) + t) % 13)
    ledger.add(["terminated" if t % 6 == 5 else ""])


def _reloaded(subject: Subject, ledger: Ledger) -> Ledger:
    """The same list of what was added, around the buffer that comes out of the file."""
    twin = ledger.copy()
    twin.buffer = subject.reload(ledger.buffer, ledger.config)
    return twin


@case("B17", "cpprb 11.0.0; openai/baselines#170")
def empty_buffer_and_empty_batch_are_refused(subject: Subject) -> None:
    """There is nothing to draw from an empty buffer, and a made-up row is worse than an error.
    A batch of 0 is refused or empty."""
    for prioritized in {False, _prioritized(subject)}:
        ledger = subject.ledger(8, prioritized=prioritized)
        require(_is_refused_or_empty(ledger.buffer, 4), "expected an empty buffer to refuse, got a batch")
        ledger.episode(4, "")
        require(
            _is_refused_or_empty(ledger.buffer, 0), "expected a batch of 0 to be refused or empty, got rows"
        )
        ledger.draw(64)


def _is_refused_or_empty(buffer: Adapter, batch_size: int) -> bool:
    try:
        return len(buffer.sample(batch_size).reward) == 0
    except Exception:
        return True


@case("B17", "openai/baselines#170")
def buffer_of_one_row_can_be_drawn_from(subject: Subject) -> None:
    """One row is a tree of one leaf, and the first draw of many runs.
    It is drawn, with weight 1."""
    ledger = subject.ledger(1, prioritized=_prioritized(subject))
    ledger.episode(3, "")
    batch = ledger.buffer.sample(4)
    ledger.check(batch)
    require(np.allclose(np.asarray(batch.weight), 1.0), f"expected weights of 1, got {batch.weight}")


@case("B21", "stable-baselines3 2.9.2")
def requested_capacity_is_held(subject: Subject) -> None:
    """Ten rows over four environments are ten rows, shared as evenly as they can be.
    Rounding down silently forgets what was asked to be kept."""
    ledger = subject.ledger(10, num_envs=4)
    ledger.episode(12, "terminated")
    ledger.episode(12, "terminated")
    num_rows = len(ledger.draw(1200))
    require(num_rows >= 10, f"expected 10 rows to be held, got {num_rows}")


@case("B21", "stable-baselines3 2.9.2; thu-ml/tianshou#260")
def saved_size_is_that_of_the_rows_held(subject: Subject) -> None:
    """Writing the whole capacity of a buffer that is hardly filled costs minutes and gigabytes.
    Ten rows of a thousand take at most ten times two stacks, and 100 KB."""
    ledger = subject.ledger(1000, frame_shape=(84, 84), frame_stack=4)
    ledger.episode(10, "terminated")
    path = subject.folder / "saved"
    ledger.buffer.save(path)
    limit = 10 * 2 * 4 * 84 * 84 + 100_000
    require(size_of(path) <= limit, f"expected at most {limit} bytes for 10 rows, got {size_of(path)}")
