"""n-step windows: what ends them, what they return, which starts exist."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

from mujigae.conformance.adapter import NotOffered
from mujigae.conformance.case import Subject, case
from mujigae.conformance.ledger import Identity, Ledger, require


def _one(_: Identity) -> float:
    return 1.0


def _require_terminal(ledger: Ledger, seen: Iterable[Identity]) -> None:
    require(
        any(ledger.window(at).terminated for at in seen), "expected rows that end in the terminal, got none"
    )


@case("B1", "cpprb 11.0.0")
def window_that_reaches_the_terminal_is_terminated(subject: Subject) -> None:
    """Each of the last n starts of a terminal episode ends in the terminal state.
    A flag missing (or 2 instead of 1) bootstraps past the end."""
    for n_step in (1, 2, 3, 5, 10):
        ledger = subject.ledger(32, n_step=n_step, gamma=1.0, reward=_one)
        ledger.episode(8, "terminated")
        ledger.episode(12, "")
        _require_terminal(ledger, ledger.draw(600, ["terminated"]))


@case("B2", "cpprb 11.0.0")
def truncated_tail_keeps_its_final_observation(subject: Subject) -> None:
    """The last n - 1 starts of a truncated episode have shorter windows, which end at the true last observation.
    They bootstrap from it with gamma to the number of steps really taken."""
    ledger = subject.ledger(32, n_step=3, gamma=0.5)
    ledger.episode(5, "truncated")
    ledger.episode(1, "truncated")
    ledger.episode(1, "terminated")
    ledger.episode(6, "")
    ledger.check_all_drawn(["next_obs", "discount"])


@case("B3", "cpprb 11.0.0")
def every_pair_of_options_gives_the_transitions_that_were_added(subject: Subject) -> None:
    """Options that are right alone lose fields or mix rows together with another one.
    Pairs that a library refuses are left out; what is drawn from the others has to be right."""
    values: dict[str, Any] = {
        "n_step": 3,
        "frame_stack": 3,
        "prioritized": True,
        "num_envs": 2,
        "dict_obs": True,
        "compact": True,
        "extras": True,
    }
    num_tried = 0
    for pair in combinations(values, 2):
        try:
            ledger = subject.ledger(64, **{name: values[name] for name in pair})
            ledger.fill(40, ["terminated"])
            ledger.add(["terminated"] * ledger.config.num_envs)
            ledger.draw(400, ["obs", "action", "reward", "next_obs", "extras"])
        except NotOffered:
            continue
        except Exception as error:
            raise type(error)(f"{' with '.join(pair)}: {error}") from error
        num_tried += 1
    if num_tried == 0:
        raise NotOffered("any two of " + ", ".join(values))


@case("B4", "cpprb 11.0.0")
def environments_do_not_mix_in_n_step_windows(subject: Subject) -> None:
    """A vector step adds one row to each environment, not consecutive rows to one.
    Rewards of 1 and 10 over three steps are 3 and 30, never 12 or 21."""
    ledger = subject.ledger(40, num_envs=2, n_step=3, gamma=1.0, reward=lambda at: (1.0, 10.0)[at.env])
    ledger.fill(15)
    ledger.draw(400, ["obs", "reward"])


@case("B4", "cpprb 11.0.0")
def some_environments_may_step_in_any_order(subject: Subject) -> None:
    """Asynchronous vector environments answer in batches of whoever is ready.
    Each row belongs to the environment that its id says."""
    subject.needs("env_ids")
    ledger = subject.ledger(90, num_envs=3)
    for ids in ([2, 0], [1], [0, 1, 2], [2, 1, 0], [1, 0], [2]) * 4:
        ledger.add(["truncated" if len(ledger.episodes[e][-1]) == 4 + e else "" for e in ids], env_ids=ids)
    ledger.check_all_drawn(spare=2)


@case("B4", "cpprb 11.0.0")
def batch_larger_than_the_capacity_keeps_its_newest_rows(subject: Subject) -> None:
    """Adding more rows at once than fit is adding them one after the other.
    The newest stay; nothing is written out of bounds."""
    ledger = subject.ledger(16)
    ledger.extend(50)
    ledger.check_all_drawn(spare=2)
    oldest = min(ledger.draw(500))
    require(oldest.time >= 50 - 16 - 1, f"expected the newest 16 of 50 rows, got {oldest}")


@case("B5", "cpprb 11.0.0")
def discount_is_that_of_the_steps_really_taken(subject: Subject) -> None:
    """A window is shorter at the end of an episode, and the batch has to say so row by row.
    0 where it is terminal, gamma^m after m steps where it is not."""
    for end in ("terminated", "truncated"):
        ledger = subject.ledger(32, n_step=4, gamma=0.5, reward=_one)
        ledger.episode(6, end)
        ledger.episode(6, end)
        ledger.episode(8, "")
        ledger.draw(600, ["discount"])


@case("B6", "torchrl 0.14.1")
def terminated_travels_with_next_obs(subject: Subject) -> None:
    """Where next_obs is the terminal observation, terminated says so.
    An n-step transform that moves one without the other bootstraps from a terminal state."""
    ledger = subject.ledger(16, n_step=3, gamma=0.9)
    ledger.episode(4, "terminated")
    ledger.episode(5, "")
    _require_terminal(ledger, ledger.draw(600, ["next_obs", "terminated"], is_strict=True))


@case("B9", "CleanRL rainbow_atari.py, 2026-04")
def every_start_of_a_terminal_episode_is_stored(subject: Subject) -> None:
    """The last n - 1 starts hold the reward that ends the episode.
    An accumulator that is cleared at the end throws them away."""
    ledger = subject.ledger(32, n_step=3)
    ledger.episode(5, "terminated")
    ledger.episode(5, "terminated")
    ledger.episode(8, "")
    ledger.check_all_drawn(["obs", "reward"])


@case("B9", "CleanRL rainbow_atari.py, 2026-04; tensorflow/agents#939")
def no_window_crosses_a_truncation(subject: Subject) -> None:
    """After a truncation comes a reset: the next rows belong to another episode.
    A window that runs on sums rewards of both and bootstraps in the wrong one."""
    ledger = subject.ledger(32, n_step=3)
    for _ in range(3):
        ledger.episode(5, "truncated")
    ledger.draw(600, ["obs", "reward", "next_obs"])


@case("B10", "ray 2.60.0")
def episodes_shorter_than_n_steps_can_be_drawn(subject: Subject) -> None:
    """Sampling that rejects starts near an end never ends where every episode is shorter than n.
    All their starts can be drawn, with bounded work."""
    ledger = subject.ledger(32, n_step=5)
    for length in (1, 2, 3, 4, 2, 1):
        ledger.episode(length, "terminated")
    ledger.episode(10, "")
    ledger.check_all_drawn(["obs", "reward"])


@case("B11", "dopamine-rl 4.1.2")
def reward_at_the_end_is_learnable(subject: Subject) -> None:
    """With rewards 1, 2, 4, 8 and a terminal at the fourth step, the 8 is in some row.
    An accumulator that waits for one more observation loses it, and every one-step episode."""
    ledger = subject.ledger(32, reward=lambda at: 2.0**at.time)
    ledger.episode(4, "terminated")
    ledger.episode(1, "terminated")
    ledger.episode(3, "truncated")
    ledger.episode(4, "")
    ledger.check_all_drawn(["obs", "reward"])


@case("T7", "DLR-RM/stable-baselines3#2144")
def full_buffer_with_its_head_at_zero_has_short_windows_at_the_tail(subject: Subject) -> None:
    """Exactly at capacity the newest row lies in the last slot, and the slot after it is the oldest row's.
    Windows of the newest rows stop there: 3, 3, 3, 3, 3, 3, then nothing or 2 and 1."""
    ledger = subject.ledger(8, n_step=3, gamma=0.5, reward=_one)
    ledger.episode(8, "")
    ledger.check_all_drawn()
    ledger.episode(8, "")
    ledger.check_all_drawn(spare=2)


@case("T8", "younggyoseo/FastTD3#6")
def episodes_longer_than_the_capacity_keep_their_newest_windows(subject: Subject) -> None:
    """The write head runs through an open episode: its oldest rows go one by one.
    No window reaches over the head, and none is lost that ends exactly there."""
    ledger = subject.ledger(8)
    for length in (30, 8, 8):
        ledger.episode(length, "terminated")
        ledger.draw(300, ["obs", "reward"])
    ledger = subject.ledger(8, n_step=3)
    for length in (30, 8, 8):
        ledger.episode(length, "")
        ledger.check_all_drawn(spare=2)


@case("T8", "younggyoseo/FastTD3#6")
def capacity_smaller_than_window_and_stack_still_works(subject: Subject) -> None:
    """With capacity 3, n = 5 and stacks of 4 hardly anything fits, which is no reason to give wrong rows.
    What is drawn is right."""
    ledger = subject.ledger(3, n_step=5, frame_stack=4)
    for length in (9, 2, 1, 6):
        ledger.episode(length, "terminated")
        ledger.draw(64, ["obs", "action", "reward"])


@case("T10", "takuseno/d3rlpy#463")
def terminated_wins_over_truncated(subject: Subject) -> None:
    """Environments set both flags when the time limit falls on the terminal step.
    The state is terminal all the same: nothing is bootstrapped."""
    ledger = subject.ledger(16)
    ledger.episode(4, "both")
    ledger.episode(4, "both")
    ledger.episode(4, "")
    ledger.check_all_drawn()
