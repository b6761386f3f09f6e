"""Sequences of neighbouring rows around drawn ones, for agents with memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from mujigae.conformance.adapter import SequenceBatch
from mujigae.conformance.case import Subject, case
from mujigae.conformance.cases.rows import probability_of, with_options
from mujigae.conformance.cases.statistics import require_shares, varied
from mujigae.conformance.identity import Identity
from mujigae.conformance.ledger import Ledger, check_extras, check_numbers, require

Cells = tuple[Any, Any]  # sequences [M] and positions [M] of M rows of a batch


def checked(ledger: Ledger, batch: SequenceBatch, burn_in: int) -> list[Identity]:
    """The rows after the burn-in; `Failed` unless every sequence is what was played around them."""
    mask = np.asarray(batch.mask)
    starts = ledger.identities(_at(batch.obs, (slice(None), burn_in)))
    require(mask[:, burn_in].all(), "expected the row after the burn-in to be there in every sequence")
    _check_mask(ledger, mask, starts, burn_in)
    sequences, positions = np.nonzero(mask)
    cells = sequences, positions
    rows = [
        starts[i]._replace(time=starts[i].time - burn_in + p)
        for i, p in zip(sequences.tolist(), positions.tolist(), strict=True)
    ]
    _check_columns(ledger, batch, cells, rows)
    ledger.check_observations("obs", _at(batch.obs, cells), rows, rows)
    last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    ends = [at._replace(time=at.time - burn_in + p + 1) for at, p in zip(starts, last.tolist(), strict=True)]
    successors = _at(batch.obs, (np.arange(len(starts)), last + 1))
    ledger.check_observations("successor in obs", successors, ends, starts)
    return starts


def _at(obs: Any, cells: Any) -> Any:
    return (
        {name: np.asarray(a)[cells] for name, a in obs.items()}
        if isinstance(obs, dict)
        else np.asarray(obs)[cells]
    )


def _check_mask(ledger: Ledger, mask: Any, starts: list[Identity], burn_in: int) -> None:
    """True in the rows of the episode that are held, which are without gaps; those about to go may be left out."""
    share = ledger.config.capacity // ledger.config.num_envs
    newest = {at for order in ledger.order for at in order[-share:]}
    for i, start in enumerate(starts):
        num_rows = len(ledger.episodes[start.env][start.episode])
        for p in range(mask.shape[1]):
            at = start._replace(time=start.time - burn_in + p)
            is_played = 0 <= at.time < num_rows
            require(is_played or not mask[i, p], f"{at}: expected no row outside of the episode, got one")
            require(
                mask[i, p] or at not in newest, f"{at}: expected the row around {start}, got a masked one"
            )
        num_runs = int(np.count_nonzero(np.diff(mask[i].astype(np.int8)) == 1) + mask[i, 0])
        require(num_runs == 1, f"{start}: expected rows without gaps, got {mask[i].astype(int).tolist()}")


def _check_columns(ledger: Ledger, batch: SequenceBatch, cells: Cells, rows: list[Identity]) -> None:
    played = [ledger.episodes[at.env][at.episode][at.time] for at in rows]
    expected: dict[str, list[Any]] = {
        "action": [at.time for at in rows],
        "reward": [row.reward for row in played],
        "discount": [0.0 if row.terminated else ledger.config.gamma for row in played],
        "is_first": [at.time == 0 for at in rows],
    }
    for name, values in expected.items():
        check_numbers(name, np.asarray(getattr(batch, name))[cells], values, rows)
    is_stray = np.asarray(batch.is_first) & ~np.asarray(batch.mask)
    require(not is_stray.any(), "expected is_first in rows that are there only")
    if ledger.config.extras:
        check_extras({name: np.asarray(values)[cells] for name, values in batch.extras.items()}, rows)


@case("R8", "instadeepai/flashbax trajectory_buffer.py, which knows no episodes")
def sequences_stay_inside_of_their_episode(subject: Subject) -> None:
    """A memory that runs on into another game learns what never happened.
    Rows before the first of an episode and after its last are masked, and the first is marked, burn-in or not."""
    with_options(
        subject,
        _require_right_sequences,
        {"num_envs": 2},
        {"n_step": 3},
        {"frame_stack": 3},
        {"dict_obs": True},
        {"extras": True},
    )


def _require_right_sequences(subject: Subject, **options: Any) -> None:
    ledger = subject.ledger(100, **options)
    ledger.fill(50, ("terminated", "truncated", "both"))
    for length, burn_in in ((1, 0), (4, 0), (3, 3), (20, 12)):
        for _ in range(4):
            checked(ledger, ledger.buffer.sample_sequences(64, length, burn_in), burn_in)


@case("R8", "Kapturowski et al. 2019 (R2D2), section 2.3")
def sequences_end_at_the_newest_row_and_begin_at_the_oldest(subject: Subject) -> None:
    """Where the ring's newest row meets its oldest, neighbours in memory are no neighbours in time.
    In one endless episode, rows that are gone and rows that are not there yet are masked."""
    for num_steps in (5, 16, 41):
        ledger = subject.ledger(16)
        for _ in range(num_steps):
            ledger.add([""])
        _require_every_start(ledger, length=6, burn_in=5)


@case("R9", "pytorch/rl SliceSampler (strict_length)")
def every_row_can_begin_a_sequence(subject: Subject) -> None:
    """Samplers that want complete sequences never learn from short episodes, nor from the end of any.
    Every row that `sample` can draw is drawn as the first after the burn-in."""
    with_options(subject, _require_starts_of_short_episodes, {"num_envs": 2}, {"n_step": 3})


def _require_starts_of_short_episodes(subject: Subject, **options: Any) -> None:
    ledger = subject.ledger(60, **options)
    ledger.fill(70)
    _require_every_start(ledger, length=8, burn_in=4)


def _require_every_start(ledger: Ledger, length: int, burn_in: int) -> None:
    missing = ledger.held()
    for _ in range(100):
        missing -= set(checked(ledger, ledger.buffer.sample_sequences(64, length, burn_in), burn_in))
        if not missing:
            return
    require(
        False, f"expected sequences from every row, got none from {', '.join(map(str, sorted(missing)[:4]))}"
    )


@case("R10", "Kapturowski et al. 2019 (R2D2), section 2.3")
def sequence_is_drawn_by_the_row_after_its_burn_in(subject: Subject) -> None:
    """Key, weight and probability of a sequence are those of the row from which on it is learned from.
    A priority handed back with the key decides over the draws of that row."""
    ledger, shares = varied(subject)
    batch = ledger.buffer.sample_sequences(512, 3, 2)
    starts = checked(ledger, batch, 2)
    for at, got in zip(starts, probability_of(batch), strict=True):
        require(
            abs(got - shares[at]) <= 1e-4 * shares[at],
            f"{at}: expected probability {shares[at]:.6g}, got {got:.6g}",
        )
    product = np.asarray(batch.weight, np.float64) * [shares[at] for at in starts]
    spread = float(product.max() / product.min() - 1)
    require(spread < 1e-3, f"expected weights in inverse proportion to the shares, got {spread:.3g} off")
    ledger.buffer.update_priorities(np.asarray(batch.key)[:1], np.array([1e9]))
    again = checked(ledger, ledger.buffer.sample_sequences(64, 3, 2), 2)
    require(
        set(again) == {starts[0]},
        f"expected sequences of {starts[0]}, which has all the priority, got {again[0]}",
    )


@case("R10", "Schaul et al. 2016, equation 1")
def sequences_are_drawn_in_proportion_to_the_priorities(subject: Subject) -> None:
    """Rows are as likely to begin a sequence as to be drawn by `sample`.
    Chi-square over 64 rows of priorities 1 to 64."""
    ledger, shares = varied(subject)
    seen = dict.fromkeys(shares, 0)
    for _ in range(8):
        batch = ledger.buffer.sample_sequences(4096, 2, 1)
        for at in ledger.identities(_at(batch.obs, (slice(None), 1))):
            seen[at] += 1
    require_shares(seen, shares, "draws of sequences")
