"""What an actor's process does between two calls: steps environments of its own, and says how surprising each row was.

Of N environments over all actors, environment i acts at random with probability 0.4^(1 + 7 i / (N - 1)), all the time
(Ape-X: Horgan et al. 2018, section 4.1). A row's first priority is the one that the learner would give it, by the actor's
copy of the network. Of the last rows of a chunk the n-step windows end with the chunk.
"""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import mujigae
from mujigae.agents.registry import create_agent
from mujigae.config.run import Run
from mujigae.distributed.chunk import Rows, Step, encode
from mujigae.envs.make import make
from mujigae.envs.steps import Episode
from mujigae.errors import require
from mujigae.replay.spaces import ObsLayout
from mujigae.seeds import child_seed
from mujigae.training.allocator import keep_freed_memory
from mujigae.training.loop import learner_reward

__all__ = ["Collector", "Policy", "spread"]

BASE, ALPHA = 0.4, 7.0  # of the spread


class Policy(NamedTuple):
    """What actors act by; a larger version is a later one."""

    version: int
    step: int  # of the run, when it was handed out
    tensors: dict[str, Any]  # arrays


def spread(num_envs: int) -> NDArray[np.float64]:
    """The share of random actions of each environment, [num_envs]; of a single one that of the middle."""
    places = np.linspace(0.0, 1.0, num_envs) if num_envs > 1 else np.array([0.5])
    return np.power(BASE, 1.0 + ALPHA * places)


class Collector:
    """One actor's environments and its copy of the agent, on the CPU.

    Args:
        config: of the run; `num_envs` are those of each actor.
        actor, num_actors: which of how many.
        life: a number of this process, for its seeds.
        first_lane: of the shard; environment e is lane first_lane + e.
        chunk_steps: vector steps in a chunk, at most.
    """

    def __init__(
        self, config: Run, *, actor: int, num_actors: int, life: int, first_lane: int, chunk_steps: int
    ) -> None:
        require("torch", "train").set_num_threads(1)
        keep_freed_memory()
        plain = {"device": "cpu", "compile": False, "cuda_graphs": False, "frames_on_device": False}
        seed = child_seed(child_seed(config.seed, "exploration", 1 + actor), "exploration", life)
        self.config = config = config.changed(seed=seed, **plain)
        self.environment = environment = make(config.env, training=True)
        spaces = environment.observation_space, environment.action_space
        self.agent = create_agent(config, *spaces)
        num_envs = config.env.num_envs
        self.agent.explore_by(spread(num_envs * num_actors)[actor::num_actors])
        self.layout = ObsLayout.of(environment.observation_space, environment.frame_stack)
        self._first_lane, self._chunk_steps = first_lane, chunk_steps
        self._step, self.version = 0, -1
        self._windows = mujigae.ReplayBuffer(
            chunk_steps * num_envs,
            *spaces,
            num_envs=num_envs,
            frame_stack=environment.frame_stack,
            n_step=config.replay.n_step,
            gamma=config.replay.gamma,
            sampler=mujigae.Uniform(replacement=False),
            extras={"row": ((), np.int64)},
            device="cpu",
            validate=False,
        )
        environment.stream.reset(child_seed(seed, "environments"))

    def take(self, policy: Policy) -> None:
        """Acts by a later policy from now on."""
        torch = require("torch", "train")
        if policy.version > self.version:
            self.agent.take_policy({n: torch.from_numpy(np.array(v)) for n, v in policy.tensors.items()})
            self.version = policy.version
        self._step = max(self._step, policy.step)

    def collect(self, seconds: float = math.inf) -> tuple[Rows, list[Episode]]:
        """The rows of the next `chunk_steps` vector steps, or of those that are made in so many seconds, at least one row; and
        the games that ended, raw scores."""
        give_up_at = time.monotonic() + seconds
        steps: list[Step] = []
        episodes: list[Episode] = []
        stream = self.environment.stream
        while not steps or (len(steps) < self._chunk_steps and time.monotonic() < give_up_at):
            taken = stream.step(self.agent.act(stream.obs, self._step))
            episodes += taken.episodes
            if len(taken.env_ids):
                reward = learner_reward(self.config, taken.reward)
                steps.append(Step(taken.env_ids, taken.obs, taken.action, reward, *taken[4:7]))
        if self.config.replay.prioritized:
            steps = self._with_priorities(steps)
        moved = [step._replace(env_ids=step.env_ids + self._first_lane) for step in steps]
        return encode(moved, self.layout), episodes

    def _with_priorities(self, steps: list[Step]) -> list[Step]:
        """The steps with the first priorities of their rows; as they are where the agent gives none."""
        ends = np.cumsum([len(step.env_ids) for step in steps])
        for step, end in zip(steps, ends.tolist(), strict=True):
            rows = {"row": np.arange(end - len(step.env_ids), end)}
            self._windows.add(*step[1:7], step.env_ids, extras=rows)
        self._windows.end_episodes()
        batch = self._windows.sample(len(self._windows))
        priorities = self.agent.priorities(batch)
        self._windows.clear()
        if priorities is None:
            return steps
        values = np.empty(ends[-1])
        values[np.asarray(batch.extras["row"])] = np.asarray(priorities, np.float64)
        parts = np.split(values, ends[:-1])
        return [step._replace(priority=part) for step, part in zip(steps, parts, strict=True)]

    def scalars(self) -> dict[str, float | None]:
        """How its environments were acted in last: the agent's `scalars_of_acting`."""
        values = self.agent.scalars()
        return {name: values[name] for name in self.agent.scalars_of_acting}

    def close(self) -> None:
        """Closes the environments."""
        self.environment.close()
