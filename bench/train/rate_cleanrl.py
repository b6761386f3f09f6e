"""CleanRL's rainbow_atari.py as it stands, run as the script that it is; the variable CLEANRL_RAINBOW says where it lies.

Its wrappers, `cleanrl_utils.atari_wrappers`, are a copy of Stable-Baselines3's, which take their place; the names of Gymnasium's
wrappers are those of 0.29. The gate stands in the vector environment's step.
"""

from __future__ import annotations

import os
import runpy
import sys
from types import ModuleType
from typing import Any

import ale_py  # noqa: F401, registers the games
import gymnasium
from stable_baselines3.common import atari_wrappers

NAME = "CleanRL rainbow_atari.py"
PACKAGES = ("torch", "numpy", "gymnasium", "ale-py", "stable-baselines3", "opencv-python-headless")


def version() -> str:
    return os.environ["CLEANRL_COMMIT"][:12]


def train(gate: Any, seed: int, learning_starts: int, capacity: int) -> None:
    """One environment, as the script asserts."""

    class GatedEnv(gymnasium.vector.SyncVectorEnv):
        def step(self, actions: Any) -> Any:
            result = super().step(actions)
            gate.passed(self.num_envs)
            return result

    gymnasium.vector.SyncVectorEnv = GatedEnv
    sys.modules["cleanrl_utils"] = ModuleType("cleanrl_utils")
    sys.modules["cleanrl_utils.atari_wrappers"] = atari_wrappers
    script = os.environ["CLEANRL_RAINBOW"]
    sys.argv = [script, "--env-id", "PongNoFrameskip-v4", "--seed", str(seed), "--no-cuda"]
    sys.argv += ["--learning-starts", str(learning_starts), "--buffer-size", str(capacity)]
    runpy.run_path(script, run_name="__main__")
