"""Rows by their keys, one after another, by episodes, and what else a row may carry."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from mujigae.conformance.adapter import Batch, Episode, NotOffered
from mujigae.conformance.case import Subject, case
from mujigae.conformance.cases.priorities import keys_of
from mujigae.conformance.cases.statistics import require_shares, varied
from mujigae.conformance.identity import Identity, extras_of
from mujigae.conformance.ledger import Ledger, check_extras, check_numbers, require

NUM_DRAWS = 32_000


def with_options(subject: Subject, check: Callable[..., None], *variants: dict[str, Any]) -> None:
    """Runs the check without options, then with each of these that the library offers."""
    check(subject)
    for options in variants:
        with contextlib.suppress(NotOffered):
            check(subject, **options)


def _refusal(call: Callable[..., Any], *arguments: Any) -> Exception | None:
    try:
        call(*arguments)
    except NotOffered:
        raise
    except Exception as error:
        return error
    return None


# --- draw and gather ---


@case("R1", "thu-ml/tianshou ReplayBuffer.sample_indices")
def draw_then_gather_is_sample(subject: Subject) -> None:
    """A learner that wants keys first, and rows later or elsewhere, learns from the same rows.
    Of two buffers of one seed, one that draws and gathers gives the batches of the one that samples."""
    with_options(subject, _require_same_draws, {"prioritized": True}, {"n_step": 3})


def _require_same_draws(subject: Subject, **options: Any) -> None:
    sampling, drawing = (subject.ledger(48, seed=3, **options) for _ in range(2))
    for ledger in (sampling, drawing):
        ledger.fill(40)
    for _ in range(10):
        key, probability = drawing.buffer.draw(32)
        batch, expected = drawing.buffer.gather(key), sampling.buffer.sample(32)
        drawing.check(batch)
        _require_equal("key", key, expected.key)
        _require_equal("probability of draw", probability, expected.probability)
        for name in Batch._fields[:9]:
            _require_equal(name, getattr(batch, name), getattr(expected, name))


def _require_equal(name: str, got: Any, expected: Any) -> None:
    require(np.array_equal(np.asarray(got), np.asarray(expected)), f"expected the {name} that sample gives")


@case("R1", "thu-ml/tianshou ReplayBuffer.__getitem__")
def gathered_rows_are_those_of_their_keys(subject: Subject) -> None:
    """A key names a row, and not a turn or a place in a batch.
    Keys of several batches, in any order, each twice, give the rows that they came with."""
    with_options(
        subject, _require_rows_of_keys, {"num_envs": 3}, {"n_step": 3}, {"frame_stack": 3}, {"extras": True}
    )


def _require_rows_of_keys(subject: Subject, **options: Any) -> None:
    ledger = subject.ledger(48, **options)
    ledger.fill(40)
    keys = keys_of(ledger)
    rows = sorted(keys, key=lambda at: (at.time, -at.episode)) * 2
    got = ledger.check(ledger.buffer.gather(np.array([keys[at] for at in rows])))
    require(got == rows, f"expected the rows of the keys, got {got[0]} for the key of {rows[0]}")


@case("R2", "google-deepmind/reverb#120; thu-ml/tianshou ReplayBuffer.__getitem__")
def keys_of_rows_that_are_gone_are_refused(subject: Subject) -> None:
    """A key that outlives its row must not give the row that is in its place now.
    It is an IndexError, also among keys of rows that are held, and so is a key that no row ever had."""
    ledger = subject.ledger(8)
    ledger.episode(8, "")
    old = np.array(list(keys_of(ledger).values()))
    ledger.episode(9, "")
    new = np.array([key for at, key in keys_of(ledger).items() if at in _newest(ledger)])
    for call in (ledger.buffer.gather, ledger.buffer.next_key):
        for keys in (old, np.append(new, old[:1]), np.array([2**40]), np.array([-1])):
            _require_index_error(call, keys)
    ledger.check(ledger.buffer.gather(new))


def _require_index_error(call: Callable[[Any], Any], keys: Any) -> None:
    error = _refusal(call, keys)
    require(
        isinstance(error, IndexError),
        f"expected an IndexError for keys of which one names no row held, got {error or 'rows'!r:.80}",
    )


# --- one after another ---


@case("R3", "thu-ml/tianshou ReplayBuffer.next")
def next_key_walks_to_the_end_of_the_episode(subject: Subject) -> None:
    """Windows and sequences of one's own are made by walking from row to row.
    The row after a row is that of its environment and its episode, and after the last there is none."""
    with_options(subject, _require_walks, {"num_envs": 3})


def _require_walks(subject: Subject, **options: Any) -> None:
    ledger = subject.ledger(48, **options)
    ledger.fill(60)
    keys = keys_of(ledger)
    require(set(keys) >= ledger.held(), "expected every row to be drawn")
    following = np.asarray(ledger.buffer.next_key(np.array(list(keys.values()))))
    for at, got in zip(keys, following.tolist(), strict=True):
        is_last = at.time + 1 == len(ledger.episodes[at.env][at.episode])
        expected = -1 if is_last else keys[at._replace(time=at.time + 1)]
        require(got == expected, f"{at}: expected the next key {expected}, got {got}")


@case("R3", "thu-ml/tianshou ReplayBuffer.next")
def newest_row_has_a_next_key_once_there_is_a_next_row(subject: Subject) -> None:
    """The newest row of an open episode has no successor yet; the row that is added next is it.
    The first row of another episode is not."""
    for end in ("", "truncated"):
        ledger = subject.ledger(8)
        ledger.episode(10, end)
        newest = max(keys_of(ledger).items())[1:]
        (got,) = ledger.buffer.next_key(np.array(newest))
        require(got == -1, f"expected no next key of the newest row, got {got}")
        ledger.add([""])
        following = np.asarray(ledger.buffer.next_key(np.array(newest)))
        if end:
            require(following[0] == -1, f"expected no next key at the end of an episode, got {following[0]}")
        else:
            rows = ledger.check(ledger.buffer.gather(following))
            require(rows == [Identity(0, 0, 10)], f"expected the row that was added, got {rows}")


# --- episodes ---


@case("R4", "Farama-Foundation/Minari; google-research/rlds")
def episodes_are_those_that_were_played(subject: Subject) -> None:
    """Behaviour is exported and studied by episodes, with the last observation of each.
    Every row held is in one of them, in order, with what was added; those of a ring that has wrapped too."""
    variants = {"num_envs": 3}, {"frame_stack": 3}, {"extras": True}, {"dict_obs": True}
    with_options(subject, _require_episodes, *variants)


def _require_episodes(subject: Subject, **options: Any) -> None:
    for num_steps in (30, 75):
        ledger = subject.ledger(60, **options)
        ledger.fill(num_steps, ("terminated", "truncated", "both"))
        rows = [at for episode in ledger.buffer.episodes() for at in _checked_episode(ledger, episode)]
        require(len(set(rows)) == len(rows), "expected every row once")
        missing = _newest(ledger) - set(rows)
        require(
            not missing, f"expected every row held, got none of {', '.join(map(str, sorted(missing)[:4]))}"
        )


def _newest(ledger: Ledger) -> set[Identity]:
    share = ledger.config.capacity // ledger.config.num_envs
    return {at for order in ledger.order for at in order[-share:]}


def _checked_episode(ledger: Ledger, episode: Episode) -> list[Identity]:
    *starts, _ = identities = ledger.identities(episode.obs)
    first = starts[0]
    require(
        identities == [first._replace(time=first.time + t) for t in range(len(identities))],
        f"expected observations one after the other from {first} on, got {identities}",
    )
    played = ledger.episodes[first.env][first.episode]
    rows = played[first.time :]
    require(len(starts) == len(rows), f"{first}: expected {len(rows)} rows to the last, got {len(starts)}")
    is_whole = first.time == 0 or first._replace(time=first.time - 1) not in _newest(ledger)
    require(is_whole, f"{first}: expected the rows before it that are held as well")
    ledger.check_observations("obs", episode.obs, identities, identities)
    check_numbers("env_id", [episode.env_id], [first.env], starts)
    check_numbers("action", episode.action, [at.time for at in starts], starts)
    check_numbers("reward", episode.reward, [row.reward for row in rows], starts)
    check_numbers("terminated", episode.terminated, [row.terminated for row in rows], starts)
    truncated = [row.truncated and not row.terminated for row in rows]
    check_numbers("truncated", episode.truncated, truncated, starts)
    if ledger.config.extras:
        check_extras(episode.extras, starts)
    require(
        ledger.check(ledger.buffer.gather(episode.key)) == starts, f"{first}: expected keys of these rows"
    )
    return starts


@case("R4", "Farama-Foundation/Minari")
def episodes_come_oldest_first_and_open_ones_last(subject: Subject) -> None:
    """An export that is cut short has the oldest games, whole; what is still played comes at the end.
    Open episodes say that they are."""
    with_options(subject, _require_order, {"num_envs": 3})


def _require_order(subject: Subject, **options: Any) -> None:
    ledger = subject.ledger(60, **options)
    ledger.fill(75)
    ledger.add([""] * ledger.config.num_envs)
    firsts, are_open = [], []
    for episode in ledger.buffer.episodes():
        first = ledger.identities(episode.obs)[0]
        ended = ledger.episodes[first.env][first.episode][-1].ended
        require(episode.is_open == (not ended), f"{first}: expected is_open {not ended}")
        firsts.append(ledger.order[first.env].index(first))
        are_open.append(episode.is_open)
    require(are_open == sorted(are_open), "expected open episodes last")
    num_closed = len(are_open) - sum(are_open)
    require(num_closed > 2, "expected closed episodes")
    require(firsts[:num_closed] == sorted(firsts[:num_closed]), "expected closed episodes oldest first")


# --- what a row may carry, and what a draw says ---


@case("R5", "Horgan et al. 2018 (Ape-X), algorithm 1, line 9")
def first_priority_of_a_row_is_the_one_given(subject: Subject) -> None:
    """Actors that work out a TD error hand it over with the row, so that the row is not drawn first of all to find it out.
    Shares are those of the priorities given; one that is no priority is refused, and its row not added."""
    ledger = subject.ledger(16, prioritized=True)
    for t in range(16):
        ledger.add([""], priority=[t + 1.0])
    for bad in (np.nan, np.inf, -1.0):
        error = _refusal(ledger.add, [""], None, [bad])
        require(error is not None, f"expected a first priority of {bad} to be refused")
    shares = {Identity(0, 0, t): (t + 1) / 136 for t in range(16)}
    require_shares(ledger.count(NUM_DRAWS), shares, "draws by first priorities")


@case("R5", "Schaul et al. 2016, algorithm 1, line 6")
def row_without_a_priority_has_the_largest_one_given(subject: Subject) -> None:
    """First priorities count for those that come after without one: what is new is seen as soon as the most surprising row.
    The largest priority so far may have come with a row."""
    ledger = subject.ledger(16, prioritized=True)
    for priority in ([3.0], [7.0], [2.0], None):
        ledger.add([""], priority=priority)
    shares = {Identity(0, 0, t): share / 19 for t, share in enumerate((3.0, 7.0, 2.0, 7.0))}
    require_shares(ledger.count(NUM_DRAWS), shares, "draws by first priorities")


@case("R6", "Espeholt et al. 2018 (IMPALA), section 4.1")
def extras_travel_with_their_row(subject: Subject) -> None:
    """The log-probability of the behaviour, or a recurrent state, belongs to the row it was added with.
    In n-step windows it is that of the start; a row without all of its extras is refused."""
    subject.needs("extras")
    with_options(
        subject, _require_extras, {"n_step": 3, "num_envs": 2}, {"prioritized": True, "frame_stack": 3}
    )


def _require_extras(subject: Subject, **options: Any) -> None:
    ledger = subject.ledger(48, extras=True, **options)
    ledger.fill(40)
    _require_all_extras_wanted(ledger)
    ledger.fill(20)
    ledger.check_all_drawn(["extras"])


def _require_all_extras_wanted(ledger: Ledger) -> None:
    starts = [Identity(e, len(episodes) - 1, len(episodes[-1])) for e, episodes in enumerate(ledger.episodes)]
    step = ledger.step(starts)
    for name in extras_of(starts):
        rest = {other: values for other, values in extras_of(starts).items() if other != name}
        error = _refusal(ledger.buffer.add_with, step, None, None, rest)
        require(error is not None, f"expected a row without its extra {name} to be refused")


def probability_of(batch: Any) -> Any:
    """[B] float64; `NotOffered` where batches have none."""
    if batch.probability is None:
        raise NotOffered("probabilities of draws")
    return np.asarray(batch.probability, np.float64)


@case("R7", "Schaul et al. 2016, equation 1")
def probability_is_that_of_the_draw(subject: Subject) -> None:
    """Whoever corrects for the draws in another way than by the weight needs P(i) itself.
    It is 1 / N in uniform draws, and the share of the priority in others."""
    ledger = subject.ledger(48)
    ledger.episode(48, "")
    uniform = probability_of(ledger.buffer.sample(64))
    require(np.allclose(uniform, 1 / 48, rtol=1e-9), f"expected 1 / 48 in uniform draws, got {uniform[0]:g}")
    for options in ({}, {"rank_based": True}, {"uniform_share": 0.25}):
        with contextlib.suppress(NotOffered):
            _require_probabilities(*_varied_shares(subject, **options))


def _varied_shares(subject: Subject, **options: Any) -> tuple[Ledger, dict[Identity, float]]:
    ledger, shares = varied(subject, **options)
    if options.get("rank_based"):
        powers = {at: 1.0 / rank for rank, at in enumerate(sorted(shares, key=lambda at: -at.time), 1)}
        return ledger, {at: power / sum(powers.values()) for at, power in powers.items()}
    uniform = options.get("uniform_share", 0.0)
    return ledger, {at: (1 - uniform) * share + uniform / len(shares) for at, share in shares.items()}


def _require_probabilities(ledger: Ledger, shares: dict[Identity, float]) -> None:
    batch = ledger.buffer.sample(512)
    for at, got in zip(ledger.identities(batch.obs), probability_of(batch), strict=True):
        is_right = abs(got - shares[at]) <= 1e-4 * shares[at]  # eps is part of the buffer's own
        require(is_right, f"{at}: expected probability {shares[at]:.6g}, got {got:.6g}")
