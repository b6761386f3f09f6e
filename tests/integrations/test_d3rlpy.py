"""d3rlpy: its dataset has the transitions of the buffer, the last of a cut episode too, and its algorithms learn from it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("d3rlpy")

from example_runs import output_of

with warnings.catch_warnings():  # d3rlpy's own, as it is imported
    warnings.simplefilter("ignore")
    import d3rlpy

    import mujigae
    from mujigae.integrations.d3rlpy import to_d3rlpy

pytestmark = pytest.mark.filterwarnings("ignore")  # d3rlpy's own


def filled(action_shape: tuple[int, ...] = (), action_dtype: Any = np.int64, **options: Any) -> Any:
    """A buffer of two environments: episodes of five steps, terminated in the first, cut in the second; the last ones open."""
    buffer = mujigae.ReplayBuffer(
        200, ((3,), np.float32), (action_shape, action_dtype), num_envs=2, **options
    )
    for t in range(23):
        obs = np.array([[e, t // 5, t % 5] for e in range(2)], np.float32)
        ends = t % 5 == 4
        action = np.full((2, *action_shape), t % 3, action_dtype)
        flags = np.array([ends, False]), np.array([False, ends])
        buffer.add(obs, action, np.full(2, float(t)), obs + np.array([0, 0, 1], np.float32), *flags)
    return buffer


def transitions(dataset: Any) -> set[tuple[float, ...]]:
    """(obs, action, reward, next_obs, terminal, interval) of every transition that d3rlpy draws."""
    batch = dataset.sample_transition_batch(3000)
    columns = (batch.observations, batch.actions, batch.rewards, batch.next_observations, batch.terminals)
    return {tuple(row) for row in np.concatenate([*columns, batch.intervals], axis=1).tolist()}


def test_transitions_are_those_of_the_buffer() -> None:
    buffer = filled()
    batch = buffer.sample(3000)
    is_terminal = batch.terminated[:, None]
    columns = (
        batch.obs,
        batch.action[:, None],
        batch.reward[:, None],
        np.where(is_terminal, 0, batch.next_obs),  # d3rlpy's own for a terminal step
        is_terminal,
        np.ones((3000, 1)),
    )
    expected = {tuple(row) for row in np.concatenate(columns, axis=1).tolist()}
    dataset = to_d3rlpy(buffer)
    assert transitions(dataset) == expected
    assert dataset.transition_count == len(buffer) == 46


def test_windows_of_d3rlpy_are_those_of_the_engine() -> None:
    buffer = filled(n_step=3, gamma=0.5)
    picker = d3rlpy.dataset.MultiStepTransitionPicker(n_steps=3, gamma=0.5)
    rows = {row[:3]: row for row in transitions(to_d3rlpy(buffer, transition_picker=picker))}
    batch = buffer.sample(2000)
    for obs, reward, discount, ends in zip(
        batch.obs, batch.reward, batch.discount, batch.terminated, strict=True
    ):
        row = rows[tuple(obs.tolist())]
        assert row[4] == reward
        assert 0.5 ** row[9] * (1 - row[8]) == discount
        assert bool(row[8]) == ends


def test_actions_of_several_numbers_keep_their_size() -> None:
    dataset = to_d3rlpy(filled((2,), np.float32))
    assert dataset.dataset_info.action_size == 2
    assert dataset.dataset_info.action_space == d3rlpy.ActionSpace.CONTINUOUS


def test_buffers_that_make_no_dataset_are_refused() -> None:
    with pytest.raises(ValueError, match="buffer: expected at least one row, got none"):
        to_d3rlpy(mujigae.ReplayBuffer(10, ((3,), np.float32), ((), np.int64)))
    buffer = mujigae.ReplayBuffer(10, {"a": ((), np.float32)}, ((), np.int64))
    no, zero = np.array([False]), {"a": np.zeros(1, np.float32)}
    buffer.add(zero, np.array([0]), np.array([0.0]), zero, no, no)
    with pytest.raises(TypeError, match="buffer: expected observations of one array, got a dict of them"):
        to_d3rlpy(buffer)


def test_algorithm_of_d3rlpy_trains_on_the_dataset() -> None:
    algorithm = d3rlpy.algos.DiscreteCQLConfig(batch_size=16).create(device="cpu")
    history = algorithm.fit(
        to_d3rlpy(filled()),
        n_steps=20,
        n_steps_per_epoch=20,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    )
    assert np.isfinite(history[-1][1]["loss"])


@pytest.mark.learns
def test_example_learns_from_what_was_recorded() -> None:
    recorded, learned = (float(line.split()[-1]) for line in output_of("d3rlpy_offline").splitlines()[-2:])
    assert learned > 2 * recorded
