"""`mujigae train dqn --env ID` with nothing else: a few hundred steps of each, then it is evaluated and filmed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from mujigae import cli

# Each with the module that it needs beside Gymnasium's own; the extra `envs` brings them.
ENVIRONMENTS = {
    "CartPole-v1": None,
    "Acrobot-v1": None,
    "MountainCar-v0": None,
    "FrozenLake-v1": None,
    "Taxi-v4": None,
    "CliffWalking-v1": None,
    "Blackjack-v1": None,
    "ALE/Breakout-v5": "ale_py",
    "LunarLander-v3": "Box2D",
    "CarRacing-v3": "Box2D",
    "MinAtar/Breakout-v1": "minatar",
    "MiniGrid-Empty-5x5-v0": "minigrid",
    "highway-fast-v0": "highway_env",
    "FlappyBird-v0": "flappy_bird_gymnasium",
}
OPTIONS = {"CarRacing-v3": ["--env-kwargs", "continuous=false"]}  # discrete actions
BUDGET = ["--steps", "300", "--min-replay-steps", "100", "--num-threads", "1"]

MINE = """
import gymnasium
from gymnasium.spaces import Box, Dict, Discrete

class Corridor(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"]}
    observation_space = Dict(cell=Discrete(5), wind=Box(-1, 1, (2,)))
    action_space = Discrete(2, start=1)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell = 0
        return self.observe(), {}

    def observe(self):
        return {"cell": self.cell, "wind": self.np_random.uniform(-1, 1, 2)}

    def step(self, action):
        self.cell = max(self.cell + (1 if action == 2 else -1), 0)
        return self.observe(), -0.1, self.cell == 4, False, {"whatever": object()}

    def render(self):
        picture = __import__("numpy").zeros((40, 200, 3), "uint8")
        picture[:, 40 * self.cell :][:, :40] = 255
        return picture

gymnasium.register("Corridor-v0", Corridor, max_episode_steps=20)
"""

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


def train_evaluate_and_film(env_id: str, capsys: pytest.CaptureFixture[str], *options: str) -> None:
    assert cli.main(["train", "dqn", "--env", env_id, "--name", "run", *BUDGET, *options]) == 0
    assert "film: runs/run/play.gif" in capsys.readouterr().out.replace(str(Path.cwd()) + "/", "")
    assert cli.main(["evaluate", "run", "--episodes", "1"]) == 0
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"return -?\d+\.\d \+- 0\.0 over 1 episodes", last_line)
    assert cli.main(["record", "run", "--max-steps", "20"]) == 0
    assert Path("runs/run/play.gif").stat().st_size > 0


def test_environment_of_ones_own_file_is_trained_on_evaluated_and_filmed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("my_corridor.py").write_text(MINE)
    train_evaluate_and_film("my_corridor:Corridor-v0", capsys)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "default"
)  # those of other packages; Box2D's, as an error, is a segmentation fault
@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_environment_is_trained_on_evaluated_and_filmed(
    env_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    package = ENVIRONMENTS[env_id]
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f'needs {package}: python -m pip install "mujigae[envs]"')
    train_evaluate_and_film(env_id, capsys, *OPTIONS.get(env_id, []))
