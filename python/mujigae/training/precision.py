"""Which arithmetic is faster here: the agent's own update, timed in both at the start of a run."""

from __future__ import annotations

import copy
import time
from typing import Any, Literal, NamedTuple

import mujigae
from mujigae.agents.agent import Agent
from mujigae.agents.registry import create_agent
from mujigae.config.run import Run
from mujigae.envs.make import make
from mujigae.training.batches import draw_batch

__all__ = ["Timings", "time_updates", "time_updates_of"]

NUM_TRIALS = 6  # the first warms up
Precision = Literal["float32", "bfloat16"]


class Timings(NamedTuple):
    """Seconds of one update in each precision: the least of a few trials."""

    float32: float
    bfloat16: float

    @property
    def faster(self) -> Precision:
        return "bfloat16" if self.bfloat16 < self.float32 else "float32"

    def __str__(self) -> str:
        both = (f"{1e3 * seconds:.3g} ms in {name}" for name, seconds in self._asdict().items())
        return f"{self.faster}, an update takes {', '.join(both)}"


def time_updates_of(run: Run) -> Timings:
    """As `time_updates`, in an environment opened for that."""
    environment = make(run.env, training=True)
    try:
        return time_updates(run, environment.observation_space, environment.action_space)
    finally:
        environment.close()


def time_updates(run: Run, observation_space: Any, action_space: Any) -> Timings:
    """Times updates of agents made for this, from random rows; takes about a dozen updates.

    Neither is compiled nor recorded, which would take minutes. The trials alternate, so that other work on the machine
    slows both alike. Raises what the agent's constructor raises, for a device that is not there as well.
    """
    plain = run.changed(compile=False, cuda_graphs=False)
    names: tuple[Precision, ...] = ("float32", "bfloat16")
    agents = [create_agent(plain.changed(precision=name), observation_space, action_space) for name in names]
    batch = _random_batch(run, agents[0], observation_space, action_space)
    trials = [[_seconds(agent, batch) for agent in agents] for _ in range(NUM_TRIALS)]
    return Timings(*(min(seconds[1:]) for seconds in zip(*trials, strict=True)))


def _random_batch(run: Run, agent: Agent, observation_space: Any, action_space: Any) -> Any:
    """A batch of the run's size on its device, of episodes of one step each."""
    size = run.replay.batch_size
    spaces = [copy.deepcopy(space) for space in (observation_space, action_space)]
    for space in spaces:
        space.seed(0)
    buffer = mujigae.ReplayBuffer(size, *spaces, device=run.hardware.device, seed=0)
    observations, actions = spaces
    for _ in range(size):
        buffer.add(observations.sample(), actions.sample(), 0.0, observations.sample(), True, False)
    return draw_batch(buffer, agent, size)


def _seconds(agent: Agent, batch: Any) -> float:
    started = time.perf_counter()
    update = agent.learn(batch)
    for value in update.metrics.values():
        float(value)  # waits for an accelerator
    return time.perf_counter() - started
