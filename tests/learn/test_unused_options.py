"""Options that change nothing in a run: which are said to, and that they truly change nothing."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from command_line import train
from test_loop import tiny

from mujigae.agents.presets import resolve
from mujigae.config.unused import _needs, unused_lines
from mujigae.training.loop import build, run

OTHERS: dict[str, Any] = {
    **{"sampler": "rank_based", "uniform_share": 0.3, "alpha": 0.1, "beta_start": 0.9, "beta_end": 0.95},
    **{"beta_steps": 7, "learning_rate_schedule": "exponential", "learning_rate_updates": 5},
    **{"frame_size": 42, "frame_stack": 2, "frame_skip": 2, "sticky_probability": 0.25, "life_loss": False},
    **{"fire_reset": True, "num_noops": 3, "full_action_set": True, "max_frames_per_episode": 8},
    **{"noisy_epsilon": True, "noisy_sigma": 0.1, "num_atoms": 5, "v_min": -30.0, "v_max": 200.0},
    **{"smoothing": 2.0, "num_quantiles": 3, "num_fractions": 3, "num_target_fractions": 3},
    **{"num_action_fractions": 3, "munchausen_alpha": 0.1, "temperature": 1.0, "log_policy_min": -3.0},
    **{"rmsprop_decay": 0.5, "rmsprop_eps": 0.1},
}
UNLIKE_DQN: dict[str, tuple[Any, dict[str, Any]]] = {  # with parts that dqn has not
    "adam_eps": (0.1, {"optimizer": "rmsprop"}),
    **{
        name: (value, {"noisy": True})
        for name, value in {
            **{"epsilon_schedule": "exponential", "epsilon_start": 0.5, "epsilon_end": 0.3},
            **{"epsilon_hold_steps": 9, "epsilon_steps": 5},
        }.items()
    },
}
CASES = {name: (value, {}) for name, value in OTHERS.items()} | UNLIKE_DQN


@functools.cache
def outcome(**options: Any) -> list[torch.Tensor]:
    """The weights after a short run."""
    training = build(tiny(**options))
    list(run(training))
    assert training.counters.updates > 10
    agent: Any = training.agent
    return [tensor.clone() for tensor in agent.online.state_dict().values()]


def test_every_option_that_may_be_unused_is_tried_here() -> None:
    runs = (tiny(), tiny(optimizer="rmsprop"), tiny(noisy=True), tiny(torso="mlp"))
    named = {name for one in runs for need in _needs(one) if not need.is_there for name in need.names}
    assert named == {*CASES}


@pytest.mark.parametrize("name", CASES)
def test_option_that_is_said_to_change_nothing_changes_nothing(name: str) -> None:
    value, parts = CASES[name]
    (line,) = unused_lines(tiny(**parts, **{name: value}), [name, "gamma"])
    assert line.startswith(f"--{name.replace('_', '-')} changes nothing here: it needs ")
    plain, other = outcome(**parts), outcome(**parts, **{name: value})
    assert all(torch.equal(*pair) for pair in zip(plain, other, strict=True))


def test_option_with_what_it_needs_is_used() -> None:
    given = {"alpha": 0.5, "prioritized": True, "v_max": 150.0, "loss": "hl_gauss", "smoothing": 1.0}
    assert unused_lines(tiny(**given), given) == []
    assert unused_lines(tiny("rainbow"), ["alpha", "v_min", "noisy_sigma", "hidden_sizes"]) == []
    assert unused_lines(tiny("dqn", "ALE/Pong-v5", torso="nature"), ["num_noops", "hidden_sizes"]) == [
        "--hidden-sizes changes nothing here: it needs --torso mlp"
    ]


def test_noise_that_does_not_persist_has_no_theta() -> None:
    given = {"action_noise_theta": 0.5}
    assert len(unused_lines(resolve("td3", "Pendulum-v1", given), given)) == 1
    persistent = {**given, "action_noise": "ornstein_uhlenbeck"}
    assert unused_lines(resolve("td3", "Pendulum-v1", persistent), given) == []


def test_command_says_which_options_change_nothing(
    in_a_folder_of_its_own: None, without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("dqn", "--env", "CartPole-v1", "--steps", "60", "--alpha", "0.7", "--n-step", "3") == 0
    assert capsys.readouterr().err == (
        "mujigae: warning: --alpha changes nothing here: it needs --prioritized\n"
    )
