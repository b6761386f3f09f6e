"""What is applied to the learner and the loop from outside: overlap, compilation, recorded updates."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from mujigae.agents.agent import Update
from mujigae.agents.dqn.agent import DQN
from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.dqn.graphs import NUM_ORDINARY_CALLS, Graphed
from mujigae.agents.presets import resolve
from mujigae.config.run import HardwareConfig, Run
from mujigae.errors import ConfigError, MujigaeError
from mujigae.replay.batch import Batch
from mujigae.training.loop import Training, build, run

SMALL: dict[str, Any] = {
    "num_envs": 3,
    "hidden_sizes": (8,),
    "head_size": 8,
    "num_atoms": 7,
    "batch_size": 4,
    "capacity": 300,
    "min_replay_steps": 12,
    "learn_period_steps": 3,
    "num_updates": 1,
    "steps": 24,
    "num_threads": 1,
}
RAINBOW: dict[str, Any] = {
    **{"double": True, "dueling": True, "noisy": True, "loss": "cross_entropy"},
    **{"num_atoms": 7, "num_quantiles": 7, "hidden_sizes": (8,), "head_size": 8, "num_threads": 1},
}
LOSSES = ("cross_entropy", "quantile", "implicit_quantile")


def overlapped(preset: str = "rainbow", **changes: Any) -> Training:
    return build(resolve(preset, "CartPole-v1", {**SMALL, "overlap": True, **changes}))


def weights(agent: DQN) -> list[Tensor]:
    return [*agent.online.state_dict().values(), *agent.target.state_dict().values()]


def test_overlapped_updates_come_one_vector_step_later_and_the_end_of_the_run_waits_for_them() -> None:
    training = overlapped(steps=18)
    assert [len(p.updates) for p in run(training)] == [0, 0, 0, 0, 1, 2]
    assert training.counters.updates_due == 0
    assert training.agent.num_updates_done == 3


def test_overlapped_updates_run_while_the_environments_step() -> None:
    """Each waits for the other: this ends only if both are under way at the same time."""
    training = overlapped()
    both = threading.Barrier(2, timeout=20)
    progress = run(training)
    assert next(p for p in progress if p.step == 12).updates == ()  # an update is owed now
    stream, agent = training.environment.stream, training.agent
    env_step, learn = stream.env.step, agent.learn
    stream.env.step = lambda action: (both.wait(), env_step(action))[1]  # type: ignore[method-assign]
    agent.learn = lambda batch: (both.wait(), learn(batch))[1]  # type: ignore[method-assign]
    assert len(next(progress).updates) == 1


def test_overlapped_run_repeats_itself_whatever_the_clock_does() -> None:
    first, second = overlapped(), overlapped()
    step = second.environment.stream.env.step

    def slow_step(action: Any) -> Any:
        threading.Event().wait(0.02)
        return step(action)

    second.environment.stream.env.step = slow_step  # type: ignore[method-assign]
    list(run(first)), list(run(second))
    for left, right in zip(weights(first.agent), weights(second.agent), strict=True):
        assert torch.equal(left, right)


def test_overlapped_updates_see_no_row_of_the_step_that_is_under_way() -> None:
    training = overlapped("dqn", steps=18, n_step=1)
    lengths = []
    sample = training.buffer.sample

    def recording_sample(*args: Any, **kwargs: Any) -> Any:
        lengths.append(len(training.buffer))
        return sample(*args, **kwargs)

    training.buffer.sample = recording_sample
    list(run(training))
    assert lengths == [12, 15, 18]


def test_what_an_environment_raises_while_it_is_overlapped_ends_the_run() -> None:
    training = overlapped()

    def failing_step(action: Any) -> Any:
        raise MujigaeError("the emulator is gone")

    training.environment.stream.env.step = failing_step  # type: ignore[method-assign]
    with pytest.raises(MujigaeError, match="the emulator is gone"):
        list(run(training))


def make_agent(**changes: Any) -> DQN:
    space = spaces.Box(0, 255, (2, 30, 30), np.uint8)
    config = Run.from_flat({**RAINBOW, "torso": "small_pixels", **changes}, DQNConfig)
    return DQN(config, space, spaces.Discrete(3))


def batches(number: int, batch_size: int = 5) -> list[Batch]:
    rng = np.random.default_rng(0)

    def floats(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, batch_size).astype(np.float32))

    def images() -> Tensor:
        return torch.from_numpy(rng.integers(256, size=(batch_size, 2, 30, 30), dtype=np.uint8))

    return [
        Batch(
            images(),
            torch.from_numpy(rng.integers(3, size=batch_size)),
            floats(-3, 3),
            images(),
            floats(0, 1),
            torch.zeros(batch_size, dtype=torch.bool),
            floats(0.1, 1),
            np.arange(batch_size),
        )
        for _ in range(number)
    ]


def assert_learn_alike(agent: DQN, expected: DQN, number: int, **tolerance: float) -> None:
    for batch in batches(number):
        for got, wanted in zip(agent.learn(batch), expected.learn(batch), strict=True):
            torch.testing.assert_close(got, wanted, **tolerance)
    for left, right in zip(weights(agent), weights(expected), strict=True):
        torch.testing.assert_close(left, right, **tolerance)


def traced(monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., Any]]:
    """torch.compile without the compiler: traced and checked, then run as it was; returns what was compiled."""
    functions = []
    real = torch.compile

    def compile_without_compiler(function: Any, **options: Any) -> Any:
        functions.append(function)
        return real(function, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", compile_without_compiler)
    return functions


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_functions_trace_in_one_piece_and_learn_and_act_the_same(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions = traced(monkeypatch)
    agent, expected = make_agent(compile=True, loss=loss), make_agent(loss=loss)
    assert [function.__name__ for function in functions[1:]] == [
        *("greedy_actions", "bootstrap", "weighted_loss")
    ]
    torch._dynamo.utils.counters.clear()
    assert_learn_alike(agent, expected, 2, rtol=0, atol=0)
    obs = batches(1)[0].obs.numpy()
    np.testing.assert_array_equal(agent.act(obs, 0.0), expected.act(obs, 0.0))
    assert not torch._dynamo.utils.counters["graph_break"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_compiled_agent_learns_the_same_to_rounding(channels_last: bool, loss: str) -> None:
    agent, expected = make_agent(compile=True, channels_last=channels_last, loss=loss), make_agent(loss=loss)
    assert_learn_alike(agent, expected, 3, rtol=1e-3, atol=1e-5)


def test_compiler_that_is_missing_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: Any, **_: Any) -> Any:
        raise RuntimeError("no C++ compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ConfigError, match=r"^compile: expected .* works here \(no C\+\+ compiler\)$"):
        make_agent(compile=True)


def record_nothing(function: Callable[..., Any], inputs: Sequence[Tensor | None]) -> Callable[[], Any]:
    """A stand-in for a CUDA graph: replays by calling, on the same inputs, which it was given once."""
    return functools.partial(function, *inputs)


@pytest.mark.parametrize("loss", LOSSES)
def test_recorded_update_is_the_ordinary_one(loss: str) -> None:
    """With the noise redrawn in place, Adam's moments and the target's copy: twice as many calls as are ordinary."""
    settings = {"target_update_period_updates": 2, "max_grad_norm": 0.5, "loss": loss}
    agent, expected = make_agent(**settings), make_agent(**settings)
    agent._bootstrap_target = Graphed(agent._bootstrap_target_of, record_nothing)
    agent._gradient_step = Graphed(agent._gradient_step_on, record_nothing)
    assert_learn_alike(agent, expected, 2 * NUM_ORDINARY_CALLS, rtol=0, atol=0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_munchausen_targets_trace_in_one_piece_and_are_recorded_alike(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft = {"double": False, "target": "munchausen", "loss": loss}
    recorded, expected = make_agent(**soft), make_agent(**soft)
    recorded._bootstrap_target = Graphed(recorded._bootstrap_target_of, record_nothing)
    assert_learn_alike(recorded, expected, NUM_ORDINARY_CALLS + 2, rtol=0, atol=0)
    traced(monkeypatch)
    torch._dynamo.utils.counters.clear()
    assert_learn_alike(make_agent(**soft, compile=True), make_agent(**soft), 2, rtol=0, atol=0)
    assert not torch._dynamo.utils.counters["graph_break"]


def test_recording_sees_later_inputs_in_place_and_hands_out_copies() -> None:
    recorded = []

    def record(function: Callable[..., Any], inputs: Sequence[Tensor | None]) -> Callable[[], Any]:
        recorded.append(inputs)
        result = Update(torch.zeros(()), {"loss": torch.zeros(())})

        def replay() -> Update:
            result.priorities.copy_(inputs[0])
            result.metrics["loss"].copy_(-inputs[0])
            return result

        return replay

    graphed = Graphed(lambda value: Update(value + 100, {"loss": -value}), record)
    outcomes = [graphed(torch.tensor(float(i))) for i in range(NUM_ORDINARY_CALLS + 2)]
    assert [float(update.priorities) for update in outcomes] == [100.0, 101.0, 102.0, 3.0, 4.0]
    assert [float(update.metrics["loss"]) for update in outcomes] == [0.0, -1.0, -2.0, -3.0, -4.0]
    assert len(recorded) == 1


def test_cuda_graphs_without_cuda_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^cuda_graphs: expected device=cuda beside it, got True$"):
        HardwareConfig(cuda_graphs=True)
