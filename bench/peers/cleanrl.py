"""CleanRL's rainbow_atari.py: its buffer's classes alone, out of the script that the variable CLEANRL_RAINBOW names.

Importing the script would need its wrappers, a logger and a command line; the four definitions are executed as they stand.
"""

from __future__ import annotations

import ast
import collections
import hashlib
import os
import pickle
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import torch

from mujigae.conformance import Adapter, Batch, Config, NotOffered

WANTED = {"PrioritizedBatch", "SumSegmentTree", "MinSegmentTree", "PrioritizedReplayBuffer"}


def _definitions(path: Path) -> dict[str, Any]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if WANTED & set(_names(node))]
    names: dict[str, Any] = {"collections": collections, "deque": collections.deque, "np": np, "torch": torch}
    names["__name__"] = __name__
    exec(compile(tree, str(path), "exec"), names)
    return names


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef):
        return [node.name]
    return [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]


SCRIPT = Path(os.environ["CLEANRL_RAINBOW"])
VERSION = os.environ.get("CLEANRL_COMMIT", hashlib.sha256(SCRIPT.read_bytes()).hexdigest())[:12]
THEIRS = _definitions(SCRIPT)


class ConformanceAdapter(Adapter):
    """`PrioritizedReplayBuffer`: always prioritized and stratified, one environment; an end is what its script passes on."""

    name = "CleanRL rainbow_atari.py"
    version = VERSION
    offers = frozenset(["frame_stack", "n_step", "prioritized", "stratified"])
    runs_without_torch = False

    def __init__(self, config: Config) -> None:
        self.config = config
        self.buffer = THEIRS["PrioritizedReplayBuffer"](
            config.capacity,
            config.obs_shape,
            torch.device("cpu"),
            config.n_step,
            config.gamma,
            config.alpha,
            config.beta,
            config.eps,
        )

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
    ) -> None:
        arrays = (
            obs,
            action,
            reward,
            next_obs,
            terminated,
        )  # the script hands over arrays that nobody reuses
        self.buffer.add(*(array[0].copy() for array in arrays))

    def sample(self, batch_size: int) -> Batch:
        drawn = self.buffer.sample(batch_size)
        done = drawn.dones.numpy()[:, 0]
        discount = self.config.gamma**self.config.n_step * (1.0 - done)
        action, reward, weight = (
            column.numpy()[:, 0] for column in (drawn.actions, drawn.rewards, drawn.weights)
        )
        obs, next_obs = drawn.observations.numpy(), drawn.next_observations.numpy()
        return Batch(obs, action, reward, next_obs, discount, done, weight, drawn.indices)

    def update_priorities(self, key: Any, priorities: Any) -> None:
        self.buffer.update_priorities(key, priorities)

    def pickled(self) -> Self:
        twin = type(self)(self.config)
        try:
            twin.buffer = pickle.loads(pickle.dumps(self.buffer))
        except (TypeError, pickle.PicklingError) as error:
            raise NotOffered(f"pickle ({error})") from error
        return twin

    @classmethod
    def tree(cls, capacity: int) -> Any:
        return CleanTree(capacity)


class CleanTree:
    """`SumSegmentTree` under the names of the suite."""

    def __init__(self, capacity: int) -> None:
        self.tree = THEIRS["SumSegmentTree"](capacity)

    def update(self, indices: Any, values: Any) -> None:
        for index, value in zip(indices, values, strict=True):
            self.tree.update(index, value)

    def find(self, targets: Any) -> Any:
        return [self.tree.retrieve(target) for target in targets]

    @property
    def total(self) -> float:
        return float(self.tree.total())


class Training:
    """The script as it stands, run as the script that it is, on one environment, as it asserts.

    Its wrappers, `cleanrl_utils.atari_wrappers`, are a copy of Stable-Baselines3's, which take their place; the names of Gymnasium's
    wrappers are those of 0.29. The gate stands in the vector environment's step.
    """

    name = "CleanRL rainbow_atari.py"
    version = VERSION
    packages = ("torch", "numpy", "gymnasium", "ale-py", "stable-baselines3", "opencv-python-headless")

    def train(self, gate: Any, seed: int, learning_starts: int, capacity: int) -> None:
        import ale_py  # noqa: F401, registers the games
        import gymnasium
        from stable_baselines3.common import atari_wrappers

        class GatedEnv(gymnasium.vector.SyncVectorEnv):
            def step(self, actions: Any) -> Any:
                result = super().step(actions)
                gate.passed(self.num_envs)
                return result

        gymnasium.vector.SyncVectorEnv = GatedEnv
        sys.modules["cleanrl_utils"] = ModuleType("cleanrl_utils")
        sys.modules["cleanrl_utils.atari_wrappers"] = atari_wrappers
        sys.argv = [str(SCRIPT), "--env-id", "PongNoFrameskip-v4", "--seed", str(seed), "--no-cuda"]
        sys.argv += ["--learning-starts", str(learning_starts), "--buffer-size", str(capacity)]
        runpy.run_path(str(SCRIPT), run_name="__main__")
