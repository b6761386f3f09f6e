"""A run that is saved, forgotten and resumed equals the uninterrupted one, bit for bit."""

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


def train_to(boundary: int, preset: str, **changes: Any) -> Training:
    """Trains to the first boundary at or after this step."""
    training = build(resolve(preset, "CartPole-v1", {**SMALL, **changes}))
    for progress in run(training):
        if progress.is_boundary and progress.step >= boundary:
            return training
    raise AssertionError("no boundary there")


def resumed(folder: Path, preset: str, **changes: Any) -> Training:
    training = build(resolve(preset, "CartPole-v1", {**SMALL, **changes}))
    checkpoint.restore(training, checkpoint.latest(folder))
    return training


def assert_equal(left: Training, right: Training) -> None:
    """Parameters, moments, generators, counters, and the whole future of the replay buffer."""
    assert left.agent.state() == right.agent.state()
    tensors = right.agent.tensors()
    for name, tensor in left.agent.tensors().items():
        assert torch.equal(tensor, tensors[name]), name
    assert left.counters.steps == right.counters.steps
    assert left.counters.episodes == right.counters.episodes
    assert left.counters.boundaries == right.counters.boundaries
    assert left.counters.recent_scores == right.counters.recent_scores
    assert len(left.buffer) == len(right.buffer)
    for _ in range(5):
        for a, b in zip(left.buffer.sample(64, beta=0.5), right.buffer.sample(64, beta=0.5), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("preset", ["dqn", "prioritized", "rainbow"])
@pytest.mark.parametrize("stop_at", [120, 240])
def test_resumed_run_equals_the_uninterrupted_one(tmp_path: Path, preset: str, stop_at: int) -> None:
    whole = train_to(360, preset)
    checkpoint.save(train_to(stop_at, preset), tmp_path)
    second = resumed(tmp_path, preset)
    assert second.counters.steps == stop_at
    list(run(second))
    assert_equal(whole, second)


def test_run_resumed_twice_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = train_to(360, "rainbow", double=False, tau=0.1, target_update_period_updates=1)
    training = train_to(120, "rainbow", double=False, tau=0.1, target_update_period_updates=1)
    for _ in range(2):
        checkpoint.save(training, tmp_path)
        training = resumed(tmp_path, "rainbow", double=False, tau=0.1, target_update_period_updates=1)
        for progress in run(training):
            if progress.is_boundary:
                break
    assert_equal(whole, training)


@pytest.mark.parametrize("stop_at", [120, 240])
@pytest.mark.parametrize(
    "switch", [{"overlap": True}, {"prefetch": 2}], ids=lambda switch: next(iter(switch))
)
def test_run_that_works_ahead_resumes_as_exactly(
    tmp_path: Path, stop_at: int, switch: dict[str, Any]
) -> None:
    whole = train_to(360, "rainbow", **switch)
    checkpoint.save(train_to(stop_at, "rainbow", **switch), tmp_path)
    second = resumed(tmp_path, "rainbow", **switch)
    list(run(second))
    assert_equal(whole, second)


def test_run_that_stopped_between_periods_resumes_and_repeats_itself(tmp_path: Path) -> None:
    """Ctrl-C closes the episodes where it comes, so the rest differs from an uninterrupted run, yet is certain."""
    training = build(resolve("dqn", "CartPole-v1", SMALL))
    for _ in run(training, should_stop=lambda: training.counters.steps >= 180):
        pass
    checkpoint.save(training, tmp_path)
    first, second = resumed(tmp_path, "dqn"), resumed(tmp_path, "dqn")
    assert first.counters.steps == 183
    list(run(first)), list(run(second))
    assert_equal(first, second)


def test_run_resumes_with_a_larger_budget_as_if_it_had_had_it_from_the_start(tmp_path: Path) -> None:
    whole = train_to(360, "prioritized", beta_steps=360)
    checkpoint.save(train_to(240, "prioritized", steps=240, beta_steps=360), tmp_path)
    second = resumed(tmp_path, "prioritized", beta_steps=360)
    list(run(second))
    assert_equal(whole, second)
