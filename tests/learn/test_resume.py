"""A checkpoint changes nothing, and what is resumed from it goes on bit for bit; exactly, where that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mujigae.agents.presets import resolve
from mujigae.runs import checkpoint
from mujigae.training.loop import Training, build, run

SMALL: dict[str, Any] = {
    "num_envs": 3,
    "hidden_sizes": (16,),
    "head_size": 16,
    "num_atoms": 11,
    "batch_size": 8,
    "capacity": 200,
    "min_replay_steps": 30,
    "learn_period_steps": 3,
    "num_updates": 1,
    "target_update_period_updates": 20,
    "checkpoint_period_steps": 120,
    "steps": 360,
    "epsilon_steps": 160,
    "num_threads": 1,
}
EXACT = {**SMALL, "exact_resume": True}
SWITCHES = [{}, {"overlap": True}, {"prefetch": 2}, {"overlap": True, "prefetch": 2}]


def train_to(step: int, preset: str, config: dict[str, Any], folder: Path | None = None) -> Training:
    """Trains to the first checkpoint at or after this step; with a folder, every checkpoint is written."""
    training = build(resolve(preset, "CartPole-v1", config))
    for progress in run(training):
        if progress.is_checkpoint and folder is not None:
            checkpoint.save(training, folder)
        if progress.is_checkpoint and progress.step >= step:
            return training
    raise AssertionError("no checkpoint there")


def resumed(folder: Path, preset: str, config: dict[str, Any]) -> Training:
    training = build(resolve(preset, "CartPole-v1", config))
    checkpoint.restore(training, checkpoint.latest(folder))
    return training


def assert_equal(left: Training, right: Training) -> None:
    """Parameters, moments, generators, counters, and the whole future of the replay buffer."""
    assert left.agent.state() == right.agent.state()
    tensors = right.agent.tensors()
    for name, tensor in left.agent.tensors().items():
        assert torch.equal(tensor, tensors[name]), name
    ours, theirs = left.counters.to_json(), right.counters.to_json()
    assert ours | {"seconds": 0.0} == theirs | {"seconds": 0.0}
    assert len(left.buffer) == len(right.buffer)
    assert left.buffer.num_silent_boundaries == right.buffer.num_silent_boundaries
    for _ in range(5):
        for a, b in zip(left.buffer.sample(64, beta=0.5), right.buffer.sample(64, beta=0.5), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


# --- a checkpoint changes nothing ---


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
@pytest.mark.parametrize("preset", ["dqn", "prioritized", "rainbow"])
def test_run_with_checkpoints_equals_one_without(tmp_path: Path, preset: str, switch: dict[str, Any]) -> None:
    without = train_to(360, preset, SMALL | switch | {"checkpoint_period_steps": 10**6})
    many = train_to(360, preset, SMALL | switch | {"checkpoint_period_steps": 30}, tmp_path)
    assert many.counters.checkpoints == 12
    many.counters.checkpoints = without.counters.checkpoints
    assert_equal(without, many)


def test_games_may_be_longer_than_a_period(tmp_path: Path) -> None:
    """A pole is up for some twenty steps of random play; with a period of 6 steps no game would end in 2 of its own."""
    training = train_to(360, "dqn", SMALL | {"checkpoint_period_steps": 6, "min_replay_steps": 360}, tmp_path)
    assert training.counters.episodes > 3
    assert training.counters.longest_episode_steps > 10


# --- what is resumed ---


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
@pytest.mark.parametrize("preset", ["dqn", "prioritized", "rainbow"])
def test_what_is_restored_is_bit_for_bit_what_was_saved(
    tmp_path: Path, preset: str, switch: dict[str, Any]
) -> None:
    saved = train_to(240, preset, SMALL | switch, tmp_path)
    restored = resumed(tmp_path, preset, SMALL | switch)
    assert restored.counters.updates_due == (1 if switch.get("overlap") else 0)
    assert_equal(saved, restored)


@pytest.mark.parametrize("preset", ["n_step", "rainbow"])
def test_open_episodes_end_as_truncated_in_the_resumed_process(tmp_path: Path, preset: str) -> None:
    config = SMALL | {"n_step": 9, "steps": 420, "capacity": 1_000}
    train_to(240, preset, config, tmp_path)
    training = resumed(tmp_path, preset, config)
    assert len(training.buffer) < 240, "the last rows of open episodes wait for their windows"
    next(run(training))
    assert len(training.buffer) >= 240
    assert training.buffer.num_silent_boundaries == 0


def test_run_that_was_resumed_twice_from_one_checkpoint_is_the_same_run(tmp_path: Path) -> None:
    train_to(120, "rainbow", SMALL, tmp_path)
    first, second = (resumed(tmp_path, "rainbow", SMALL) for _ in range(2))
    list(run(first)), list(run(second))
    assert first.counters.steps == 360
    assert_equal(first, second)


def test_resumed_run_sees_other_games_than_the_first_part(tmp_path: Path) -> None:
    training = build(resolve("dqn", "CartPole-v1", SMALL))
    first = next(iter(run(training))) and training.environment.stream.obs
    train_to(120, "dqn", SMALL, tmp_path)
    again = resumed(tmp_path, "dqn", SMALL)
    next(run(again))
    assert not np.array_equal(first, again.environment.stream.obs)


def test_run_that_stopped_between_periods_goes_on_from_there(tmp_path: Path) -> None:
    training = build(resolve("dqn", "CartPole-v1", SMALL))
    for progress in run(training, should_stop=lambda: training.counters.steps >= 180):
        if progress.is_checkpoint:
            checkpoint.save(training, tmp_path)
    assert resumed(tmp_path, "dqn", SMALL).counters.steps == 180


# --- exact_resume ---


@pytest.mark.parametrize("preset", ["dqn", "prioritized", "rainbow"])
@pytest.mark.parametrize("stop_at", [120, 240])
def test_resumed_run_equals_the_uninterrupted_one(tmp_path: Path, preset: str, stop_at: int) -> None:
    whole = train_to(360, preset, EXACT)
    train_to(stop_at, preset, EXACT, tmp_path)
    second = resumed(tmp_path, preset, EXACT)
    assert second.counters.steps == stop_at
    list(run(second))
    assert_equal(whole, second)


def test_run_resumed_twice_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    config = EXACT | {"double": False, "tau": 0.1, "target_update_period_updates": 1}
    whole = train_to(360, "rainbow", config)
    training = train_to(120, "rainbow", config)
    for _ in range(2):
        checkpoint.save(training, tmp_path)
        training = resumed(tmp_path, "rainbow", config)
        for progress in run(training):
            if progress.is_checkpoint:
                break
    assert_equal(whole, training)


@pytest.mark.parametrize("stop_at", [120, 240])
@pytest.mark.parametrize("switch", SWITCHES[1:], ids=str)
def test_run_that_works_ahead_resumes_as_exactly(
    tmp_path: Path, stop_at: int, switch: dict[str, Any]
) -> None:
    whole = train_to(360, "rainbow", EXACT | switch)
    train_to(stop_at, "rainbow", EXACT | switch, tmp_path)
    second = resumed(tmp_path, "rainbow", EXACT | switch)
    list(run(second))
    assert_equal(whole, second)


def test_run_that_was_killed_after_a_checkpoint_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = train_to(360, "dqn", EXACT)
    training = build(resolve("dqn", "CartPole-v1", EXACT))
    for progress in run(training):
        if progress.is_checkpoint:
            checkpoint.save(training, tmp_path)
        if progress.step >= 180:
            break
    second = resumed(tmp_path, "dqn", EXACT)
    assert second.counters.steps == 120
    list(run(second))
    assert_equal(whole, second)


def test_run_resumes_with_a_larger_budget_as_if_it_had_had_it_from_the_start(tmp_path: Path) -> None:
    config = EXACT | {"beta_steps": 360}
    whole = train_to(360, "prioritized", config)
    train_to(240, "prioritized", config | {"steps": 240}, tmp_path)
    second = resumed(tmp_path, "prioritized", config)
    list(run(second))
    assert_equal(whole, second)
