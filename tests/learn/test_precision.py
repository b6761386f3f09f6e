"""precision=fastest: the agent's own update is timed, what was found decides, and is said."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from mujigae import cli
from mujigae.agents.agent import Update
from mujigae.agents.dqn.agent import DQN
from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.presets import resolve
from mujigae.config.run import Run
from mujigae.errors import ConfigError
from mujigae.runs import session
from mujigae.runs.folder import read_config
from mujigae.training.loop import build
from mujigae.training.precision import NUM_TRIALS, Timings, time_updates

SMALL = {"hidden_sizes": (4,), "head_size": 0, "precision": "fastest", "batch_size": 5, "capacity": 50}
PIXELS = spaces.Box(0, 255, (4, 30, 30), np.uint8)


@pytest.fixture(params=["float32", "bfloat16"])
def slower(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Updates of the DQN family take longer in this precision."""
    name: str = request.param
    learn = DQN.learn

    def slow_learn(self: DQN, batch: Any) -> Update:
        time.sleep(0.02 if self.hardware.precision == name else 0)
        return learn(self, batch)

    monkeypatch.setattr(DQN, "learn", slow_learn)
    return name


def test_precision_is_the_one_in_which_the_agents_update_is_faster(slower: str) -> None:
    training = build(resolve("dqn", "CartPole-v1", SMALL))
    faster = {"float32": "bfloat16", "bfloat16": "float32"}[slower]
    assert isinstance(training.agent, DQN)
    assert training.config.hardware.precision == training.agent.hardware.precision == faster
    (note,) = training.notes
    assert note.startswith(f"precision: {faster}, an update takes ")
    assert "ms in float32" in note


def test_nothing_is_timed_when_a_precision_is_given(slower: str) -> None:
    training = build(resolve("dqn", "CartPole-v1", {**SMALL, "precision": slower}))
    assert training.config.hardware.precision == slower
    assert training.notes == ()


def test_log_and_configuration_have_what_was_found(
    slower: str, tmp_path: Any, without_pictures: None
) -> None:
    said: list[str] = []
    outcome = session.train_run(
        resolve("dqn", "CartPole-v1", {**SMALL, "steps": 20, "best_episodes": 0, "stop_evaluation": None}),
        root=tmp_path,
        say=said.append,
    )
    found = read_config(outcome.folder).hardware.precision
    assert any(line.startswith(f"precision: {found}, ") for line in said)


def test_help_says_what_would_be_found(slower: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "dqn", "--precision", "fastest", "--hidden-sizes", "4", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"(default: fastest: here {({'float32', 'bfloat16'} - {slower}).pop()}, an update takes" in text


def test_every_update_is_of_a_batch_as_the_replay_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []
    learn = DQN.learn
    monkeypatch.setattr(DQN, "learn", lambda self, batch: (batches.append(batch), learn(self, batch))[1])
    run = Run.from_flat({**SMALL, "torso": "small_pixels", "loss": "cross_entropy"}, DQNConfig)
    timings = time_updates(run, PIXELS, spaces.Discrete(3, start=2))
    assert len(batches) == 2 * NUM_TRIALS
    assert batches[0].obs.shape == (5, 4, 30, 30)
    assert batches[0].obs.dtype == torch.uint8
    assert {int(action) for action in batches[0].action} <= {2, 3, 4}
    assert min(timings) > 0


def test_device_that_is_not_there_is_refused_before_anything_is_timed() -> None:
    run = Run.from_flat({**SMALL, "device": "cuda:99"}, DQNConfig)
    with pytest.raises(ConfigError, match="device: expected a device of this machine, got 'cuda:99'"):
        time_updates(run, spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(2))


def test_timings_name_the_faster_and_both_numbers() -> None:
    assert str(Timings(0.01531, 0.01124)) == (
        "bfloat16, an update takes 15.3 ms in float32, 11.2 ms in bfloat16"
    )
    assert Timings(0.001, 0.001).faster == "float32"
