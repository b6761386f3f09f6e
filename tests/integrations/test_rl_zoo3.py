"""RL Baselines3 Zoo's own programs with a configuration that names mujigae's replay buffer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from example_runs import EXAMPLES

pytest.importorskip("rl_zoo3", reason="needs rl-zoo3")

from stable_baselines3 import DQN

from mujigae.integrations.stable_baselines3 import ReplayBuffer

SMALL = "buffer_size:500 learning_starts:100 train_freq:16 gradient_steps:2"


def trained(folder: Path, *options: str) -> DQN:
    """What the zoo's training program makes of the example's configuration."""
    command = [sys.executable, "-m", "rl_zoo3.train", "--algo", "dqn", "--env", "CartPole-v1", "-f", "logs"]
    command += [
        "--seed",
        "1",
        "--eval-freq",
        "-1",
        "--conf-file",
        str(EXAMPLES / "rl_zoo3_config.py"),
        *options,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return DQN.load(folder / "logs/dqn/CartPole-v1_1/CartPole-v1.zip")


def test_configuration_names_the_buffer(tmp_path: Path) -> None:
    model = trained(tmp_path, "-n", "300", "-params", *SMALL.split())
    assert model.replay_buffer_class is ReplayBuffer
    assert model.replay_buffer_kwargs == {"n_steps": 3, "gamma": 0.99}
