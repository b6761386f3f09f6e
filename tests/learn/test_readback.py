"""Priorities that are read back late reach the replay before anything depends on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mujigae.agents.presets import resolve
from mujigae.errors import MujigaeError
from mujigae.training import loop
from mujigae.training.loop import Training, build, run
from mujigae.training.readback import Readback, read_back

SMALL: dict[str, Any] = {
    **{"num_envs": 2, "hidden_sizes": (4,), "head_size": 0, "batch_size": 4, "capacity": 200, "steps": 60},
    **{
        "min_replay_steps": 10,
        "learn_period_steps": 4,
        "num_updates": 2,
        "num_threads": 1,
        "prioritized": True,
    },
}


class Event:
    """A copy that is complete once it is waited for."""

    def __init__(self, priorities: torch.Tensor) -> None:
        self.priorities, self.true = priorities, priorities.clone()
        priorities.fill_(float("nan"))

    def synchronize(self) -> None:
        self.priorities.copy_(self.true)


def with_slow_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(key: Any, priorities: torch.Tensor) -> Readback:
        host = priorities.clone()
        return Readback(key, host, Event(host))

    monkeypatch.setattr(loop, "read_back", begin)


def trained(**changes: Any) -> Training:
    training = build(resolve("dqn", "CartPole-v1", {**SMALL, **changes}))
    list(run(training))
    return training


@pytest.mark.parametrize("overlap", [False, True])
def test_copy_is_waited_for_before_the_replay_gets_it(monkeypatch: pytest.MonkeyPatch, overlap: bool) -> None:
    expected = trained(overlap=overlap)
    with_slow_copies(monkeypatch)
    got = trained(overlap=overlap)
    left, right = expected.agent.tensors(), got.agent.tensors()
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert got.readback is None, "a checkpoint is due at the end of a run"


@pytest.mark.parametrize("overlap", [False, True])
def test_priorities_arrive_in_the_order_draw_update_add(
    monkeypatch: pytest.MonkeyPatch, overlap: bool
) -> None:
    """New rows get the largest priority so far: each update's has to be there before rows are added or drawn."""
    training = build(resolve("dqn", "CartPole-v1", {**SMALL, "overlap": overlap}))
    pending: list[str] = []
    buffer, begin = training.buffer, loop.read_back
    add, sample, update = buffer.add, buffer.sample, buffer.update_priorities

    def begin_copy(key: Any, priorities: Any) -> Readback:
        pending.append("a copy")
        return begin(key, priorities)

    def expecting_none(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            assert not pending
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(loop, "read_back", begin_copy)
    buffer.add, buffer.sample = expecting_none(add), expecting_none(sample)
    buffer.update_priorities = lambda *args: (pending.pop(), update(*args))[1]
    list(run(training))
    assert training.counters.updates > 10


def test_priority_that_is_not_finite_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "read_back", lambda key, values: Readback(key, values * float("nan")))
    with pytest.raises(MujigaeError, match=r"^training diverged at step \d+: the loss is nan"):
        trained()


@pytest.mark.parametrize("values", [np.ones(3), torch.ones(3)])
def test_what_is_on_the_cpu_needs_no_copy(values: Any) -> None:
    np.testing.assert_array_equal(read_back(np.arange(3), values).array(), np.ones(3))
