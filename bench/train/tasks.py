"""The small tasks that agents are trained on with several seeds (`sweep.py`): which presets, and what they have to reach.

A target is one that some preset has to reach within the budget of steps that `mujigae train PRESET --env ID` has without any
option, or one of each preset. Anchors are what others reached, from their own pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["TASKS", "Task"]


class Task(NamedTuple):
    """One environment."""

    env_id: str
    file: str  # of its results, in bench/results/
    presets: tuple[str, ...]
    targets: Mapping[str, float]  # by preset
    needs_all: bool  # whether every preset has to reach its target, or one of them
    anchors: Mapping[str, float]  # by who reached it
    source: str
    arguments: tuple[str, ...] = ()  # of mujigae train, besides the environment
    unit: str = ""  # of the scores, where they are no returns
    wrapper: tuple[str, ...] = ()  # of the evaluation's environment, where its rewards are the scores

    def command(self, preset: str) -> list[str]:
        """What `mujigae train` gets, but for the seed."""
        return [preset, "--env", self.env_id, *self.arguments]


TASKS = {
    task.env_id: task
    for task in (
        Task(
            "CartPole-v1",
            "cartpole.json",
            (
                *("dqn", "double", "dueling", "prioritized", "n_step", "noisy", "c51", "qr_dqn", "iqn"),
                *("munchausen", "hl_gauss", "rainbow"),
            ),
            {},
            True,
            {},
            "",
        ),
        Task(
            "Pendulum-v1",
            "pendulum.json",
            ("ddpg", "td3", "sac", "naf", "cem"),
            {"ddpg": -160.0, "td3": -160.0, "sac": -160.0, "naf": -200.0, "cem": -300.0},
            True,
            {"DDPG": -152.1, "TD3": -151.9, "SAC": -157.0},
            "RL Baselines3 Zoo, 20,000 steps",
        ),
        Task(
            "Acrobot-v1",
            "acrobot.json",
            ("dqn", "qr_dqn", "iqn"),
            dict.fromkeys(("dqn", "qr_dqn", "iqn"), -80.0),
            False,
            {"DQN": -76.6, "QR-DQN": -69.1},
            "RL Baselines3 Zoo, 100,000 steps",
        ),
        Task(
            "MountainCar-v0",
            "mountain_car.json",
            ("dqn", "n_step"),
            dict.fromkeys(("dqn", "n_step"), -105.0),
            False,
            {"DQN": -100.8},
            "RL Baselines3 Zoo, 120,000 steps",
        ),
        Task(
            "LunarLander-v3",
            "lunar_lander.json",
            ("iqn", "rainbow", "dqn"),
            dict.fromkeys(("iqn", "rainbow"), 230.0),
            False,
            {"double DQN with PER": 265.9, "DQN": 195.2},
            "SLM-Lab, 300,000 steps",
        ),
        Task(
            "LunarLanderContinuous-v3",
            "lunar_lander_continuous.json",
            ("td3", "sac"),
            dict.fromkeys(("td3", "sac"), 230.0),
            False,
            {"DDPG": 230.2, "TD3": 207.4},
            "RL Baselines3 Zoo, 300,000 steps",
        ),
        Task(
            "HalfCheetah-v5",
            "half_cheetah.json",
            ("td3",),
            {"td3": 4500.0},
            False,
            {"TD3": 5514.0},
            "Fujimoto et al. 2018 on version 1, 100,000 steps, ten seeds",
        ),
        Task(
            "FlappyBird-v0",
            "flappy_bird.json",
            ("n_step",),
            {"n_step": 50.0},
            False,
            {"double DQN": 122.0},
            "20 games after 5,000 of training",
            ("--env-kwargs", "use_lidar=False", "--minutes", "20"),
            "pipes a game",
            ("bench.train.flappy_bird:PipesAlone",),
        ),
    )
}
