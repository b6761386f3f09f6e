"""How much of a training step of Stable-Baselines3's SAC goes into the replay buffer, with mujigae's and with its own.

    python bench/integrations/sac_share.py    writes bench/results/<machine>/sac_share.json

As large as HalfCheetah: 17 floats, six actions, batches of 256 out of a million rows, an update a step. The environment answers
random numbers at once, which makes the buffer's share larger than it is where a simulator runs. Each buffer trains in turns.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common import buffers

from bench.core.hardware import describe, results_folder
from mujigae.integrations.stable_baselines3 import ReplayBuffer

RESULTS = Path(__file__).resolve().parents[1] / "results"
ROWS, STEPS, VISITS = 1_000_000, 500, 5
EPISODE_STEPS = 1000
BUFFERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mujigae": (ReplayBuffer, {}),
    "mujigae, prefetch=2": (ReplayBuffer, {"prefetch": 2}),
    "stable_baselines3": (buffers.ReplayBuffer, {}),
}


class RandomNumbers(gymnasium.Env[Any, Any]):
    """Spaces as large as HalfCheetah's, and episodes as long."""

    observation_space = spaces.Box(-np.inf, np.inf, (17,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (6,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.rows = self.np_random.standard_normal((EPISODE_STEPS + 1, 17), np.float32)
        self.num_steps = 0
        return self.rows[0], {}

    def step(self, action: Any) -> Any:
        self.num_steps += 1
        return self.rows[self.num_steps], 0.5, False, self.num_steps == EPISODE_STEPS, {}


class Clock:
    """Seconds in a function, called by another name."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        answer = self.function(*arguments, **named)
        self.seconds += time.perf_counter() - began
        return answer


class Training:
    """An agent whose buffer is full."""

    def __init__(self, buffer: Any, options: dict[str, Any]) -> None:
        env = RandomNumbers()
        self.agent = SAC(
            *("MlpPolicy", env),
            **{"buffer_size": ROWS, "learning_starts": 0, "seed": 0},
            **{"replay_buffer_class": buffer, "replay_buffer_kwargs": options},
        )
        replay: Any = self.agent.replay_buffer
        obs, _ = env.reset(seed=0)
        for row in range(ROWS):
            done = row % EPISODE_STEPS == EPISODE_STEPS - 1
            following = env.rows[row % EPISODE_STEPS + 1]
            replay.add(
                obs[None], following[None], np.zeros((1, 6), np.float32), np.array([0.5]), np.array([done]),
                [{"TimeLimit.truncated": done}],
            )  # fmt: skip
            obs = env.rows[0] if done else following
        replay.add, replay.sample = self.clocks = Clock(replay.add), Clock(replay.sample)
        self.agent.learn(100)  # warms up
        drawn = replay.sample(256)
        assert drawn.observations.shape == (256, 17)
        assert torch.isfinite(drawn.rewards).all()

    def visit(self) -> dict[str, float]:
        """Seconds a step: in all, and in the buffer."""
        for clock in self.clocks:
            clock.seconds = 0.0
        began = time.perf_counter()
        self.agent.learn(STEPS)
        whole = time.perf_counter() - began
        return {
            "step_seconds": whole / STEPS,
            "buffer_seconds": sum(clock.seconds for clock in self.clocks) / STEPS,
        }


def main() -> None:
    torch.set_num_threads(1)
    trainings = {name: Training(*buffer) for name, buffer in BUFFERS.items()}
    visits = [{name: training.visit() for name, training in trainings.items()} for _ in range(VISITS)]
    medians = {
        name: {each: statistics.median(visit[name][each] for visit in visits) for each in visits[0][name]}
        for name in trainings
    }
    versions = {name: metadata.version(name) for name in ("stable-baselines3", "torch", "numpy")}
    result = {"rows": ROWS, "batch_size": 256, "machine": describe(), "versions": versions, **medians}
    path = results_folder(RESULTS, Path(sys.executable)) / "sac_share.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    for name, seconds in medians.items():
        share = seconds["buffer_seconds"] / seconds["step_seconds"]
        print(
            f"{name}: {seconds['buffer_seconds'] * 1e6:.0f} of {seconds['step_seconds'] * 1e6:.0f} us a step, {share:.1%}"
        )


if __name__ == "__main__":
    main()
