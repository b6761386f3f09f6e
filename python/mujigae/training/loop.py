"""The training loop: collect -> add -> learn -> new priorities -> target, one vector step at a time.

`run` is a generator that yields after every vector step, so that display, logs and checkpoints stay outside. A checkpoint is
due after each period and where a run stops. It changes nothing: a run with checkpoints equals one without. Environments
cannot be saved, so a run that is resumed resets them, with a seed of (seed, number of checkpoints), and the episodes that
were open then end as truncated; all else goes on bit for bit as it was saved.

With `exact_resume` the same is done at every checkpoint, in the uninterrupted run too: the updates that are due are done,
open episodes end as truncated, all environments are reset. The resumed run then equals the uninterrupted one bit for bit on
a CPU, and no game can last longer than a period.

With `overlap` the environments step while the updates run that the vector step before made due; who sees what is fixed by the
order of the calls, not by the clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

import mujigae
from mujigae.agents.agent import Agent, Update
from mujigae.agents.registry import create_agent
from mujigae.config.run import ReplayConfig, Run
from mujigae.envs.environment import Environment
from mujigae.envs.make import make
from mujigae.envs.steps import Episode, Steps
from mujigae.errors import ConfigError, MujigaeError, require
from mujigae.replay.samplers import Sampler
from mujigae.seeds import child_seed
from mujigae.training.allocator import keep_freed_memory
from mujigae.training.batches import check_view, draw_batch
from mujigae.training.counters import NUM_STOP_GAMES, Counters
from mujigae.training.pace import Pace
from mujigae.training.precision import time_updates
from mujigae.training.readback import Readback, read_back
from mujigae.training.schedules import beta_at

__all__ = [
    *("Counters", "Progress", "Training", "Workers", "build", "check_finite", "count_episodes"),
    *("diverged", "is_finished", "learner_reward", "make_buffer", "periods", "run"),
]


class Workers(Protocol):
    """Other processes that collect and store for a run, whose buffer is then only a view of theirs."""

    def started(self, training: Training, folder: Path) -> AbstractContextManager[None]:
        """They work for the run in `folder` until the end of the block, and none is left then."""
        ...

    def run(self, training: Training, should_stop: Callable[[], bool]) -> Iterator[Progress]:
        """As `run` of this module."""
        ...

    def scalars(self) -> Mapping[str, float | None]:
        """The agent's `scalars_of_acting`, of those who act; None: nobody has acted yet."""
        ...


@dataclass
class Training:
    """Everything that a run is made of; `checkpoint` saves and restores all but the environment."""

    config: Run
    environment: Environment
    agent: Agent
    buffer: Any  # a ReplayBuffer, or what `workers` put in its place
    counters: Counters
    notes: tuple[str, ...] = ()  # lines worth saying before it begins
    workers: Workers | None = None  # None: this process collects and stores
    metrics: Mapping[str, Any] = field(
        default_factory=dict
    )  # of the latest update, tensors on the agent's device
    readback: Readback | None = None  # the latest update's priorities, which the replay does not have yet
    pace: Pace = field(default_factory=Pace)  # of the updates

    def scalars(self) -> dict[str, float | None]:
        """Those of the agent, with those of the actors where other processes act."""
        return {**self.agent.scalars(), **({} if self.workers is None else self.workers.scalars())}


class Progress(NamedTuple):
    """What one vector step did."""

    step: int  # agent decisions so far
    frames: int  # emulator frames so far
    seconds: float  # wall-clock time so far, earlier parts of a resumed run included
    beta: float
    episodes: tuple[Episode, ...]  # games that ended in this step, raw scores
    updates: tuple[Update, ...]  # those of this step
    is_checkpoint: bool  # a checkpoint is due
    is_last: bool = False  # the run ends with this step


def build(config: Run) -> Training:
    """A new run, with nothing written anywhere; raises MujigaeError for what cannot work."""
    require("torch", "train").set_num_threads(config.hardware.num_threads or 1)
    keep_freed_memory()
    environment = make(config.env, training=True)
    spaces = environment.observation_space, environment.action_space
    notes = (*config.agent.notes(config), *_budget_notes(config))
    if config.hardware.precision == "fastest":
        timings = time_updates(config, *spaces)
        config = config.changed(precision=timings.faster)
        notes = (*notes, f"precision: {timings}")
    agent = create_agent(config, *spaces)
    buffer = make_buffer(config, environment, type(agent))
    return Training(config, environment, agent, buffer, Counters(), notes=notes)


def _budget_notes(config: Run) -> tuple[str, ...]:
    first, steps = config.replay.first_update_steps, config.budget.steps
    if steps >= first:
        return ()
    return (
        f"budget: nothing is learned: the first update comes at step {first:,} (--min-replay-steps), the run ends at {steps:,}",
    )


def make_buffer(config: Run, environment: Environment, agent: type[Agent]) -> Any:
    """The replay buffer that configuration and agent ask for, empty; ConfigError when there can be none."""
    name = config.replay.sampler_name
    if name not in agent.samplers:
        known = " or ".join(agent.samplers)
        raise ConfigError(f"sampler: expected {known} for {agent.__name__}, got {name}")
    check_view(config, agent)
    try:
        return _make_buffer(config, environment)
    except (ValueError, MemoryError) as error:
        raise ConfigError(str(error)) from error


def _make_buffer(config: Run, environment: Environment) -> Any:
    replay, hardware = config.replay, config.hardware
    return mujigae.ReplayBuffer(
        replay.capacity,
        environment.observation_space,
        environment.action_space,
        num_envs=config.env.num_envs,
        frame_stack=environment.frame_stack,
        n_step=replay.n_step,
        gamma=replay.gamma,
        sampler=_sampler(replay),
        device=hardware.device,
        frames_on_device=hardware.frames_on_device,
        compress=replay.compress,
        prefetch=replay.prefetch,
        seed=child_seed(config.seed, "replay"),
    )


def _sampler(replay: ReplayConfig) -> Sampler:
    if not replay.prioritized:
        return mujigae.Uniform(replacement=replay.replacement)
    if replay.sampler == "rank_based":
        return mujigae.RankBased(replay.alpha, replay.beta_start)
    return mujigae.Proportional(
        replay.alpha,
        replay.beta_start,
        replay.priority_eps,
        stratified=replay.replacement,
        uniform_share=replay.uniform_share,
        replacement=replay.replacement,
    )


def run(training: Training, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
    """Trains to the end of a budget, to a score that stops, or to `should_stop()`; a checkpoint is due after the last step.

    With `exact_resume` none is due where `should_stop()` ends the run between two periods: it goes on from the last one.
    A run that is finished already yields nothing. Raises MujigaeError when the loss is no longer finite; that is
    looked at once a log period, and before a checkpoint, so that none keeps a diverged network.
    """
    counters = training.counters
    started = time.monotonic() - counters.seconds

    def is_over() -> bool:
        counters.seconds = time.monotonic() - started
        return is_finished(training) or should_stop()

    if is_finished(training):
        return
    _reset_environments(training)
    while True:
        progress = advance(training, is_over)
        yield progress
        if progress.is_last or (progress.is_checkpoint and is_over()):
            return
        if progress.is_checkpoint and training.config.budget.exact_resume:
            _reset_environments(training)


def _reset_environments(training: Training) -> None:
    """Ends what is open, in the replay too, and begins new episodes."""
    training.buffer.end_episodes()
    seed = child_seed(training.config.seed, "environments", training.counters.checkpoints)
    training.environment.stream.reset(seed)


def is_finished(training: Training) -> bool:
    """Whether the steps or minutes are used up, or the last 100 games or the last evaluation are good enough."""
    budget, counters = training.config.budget, training.counters
    if counters.steps >= budget.steps:
        return True
    if budget.minutes is not None and counters.seconds >= 60 * budget.minutes:
        return True
    evaluation, scores = counters.evaluation, counters.recent_scores
    if budget.stop_evaluation is not None and evaluation is not None and evaluation >= budget.stop_evaluation:
        return True
    is_good = budget.stop_score is not None and sum(scores) >= budget.stop_score * NUM_STOP_GAMES
    return is_good and len(scores) == NUM_STOP_GAMES


def advance(training: Training, is_over: Callable[[], bool] = lambda: False) -> Progress:
    """One vector step and the updates that are due after it; the run's last one if `is_over()` after the step."""
    budget, counters, stream = training.config.budget, training.counters, training.environment.stream
    overlap = training.config.hardware.overlap
    before = counters.steps
    beta = beta_at(training.config, before, counters.seconds)
    action = training.agent.act(stream.obs, before)
    updates: tuple[Update, ...] = ()
    if overlap:
        stream.send(action)
        updates = _do_updates(training, beta)
        steps = stream.receive()
    else:
        steps = stream.step(action)
    counters.steps += len(steps.env_ids)
    count_episodes(counters, steps.episodes)
    _take_priorities(training)
    is_last = is_over()
    is_checkpoint = _is_checkpoint_due(training, before, is_last)
    counters.checkpoints += is_checkpoint
    _store(training, steps)
    is_exact = is_checkpoint and budget.exact_resume
    if is_exact:
        training.buffer.end_episodes()
    counters.updates_due += _updates_due(training, before)
    if not overlap or is_exact or is_last:
        updates += _do_updates(training, beta)
    if is_checkpoint or is_last:
        _take_priorities(training)
    if is_checkpoint or periods(before, counters.steps, budget.log_period_steps) > 0:
        check_finite(training)
    return Progress(
        step=counters.steps,
        frames=counters.steps * training.environment.frames_per_step,
        seconds=counters.seconds,
        beta=beta,
        episodes=steps.episodes,
        updates=updates,
        is_checkpoint=is_checkpoint,
        is_last=is_last,
    )


def _is_checkpoint_due(training: Training, before: int, is_last: bool) -> bool:
    budget, counters = training.config.budget, training.counters
    if periods(before, counters.steps, budget.checkpoint_period_steps) > 0:
        return True
    return is_last and (not budget.exact_resume or is_finished(training))


def _store(training: Training, steps: Steps) -> None:
    reward = learner_reward(training.config, steps.reward)
    if len(steps.env_ids) == 0:
        return
    try:
        training.buffer.add(
            steps.obs,
            steps.action,
            reward,
            steps.next_obs,
            steps.terminated,
            steps.truncated,
            env_ids=steps.env_ids,
        )
    except (TypeError, ValueError) as error:
        where = f"{training.config.env.env_id}, step {training.counters.steps}"
        raise MujigaeError(f"{where}: the replay refuses what the environment returned: {error}") from error


def learner_reward(config: Run, reward: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is stored of raw rewards: they are clipped here and nowhere else."""
    return np.clip(reward, -1.0, 1.0) if config.env.clip_rewards else reward


def count_episodes(counters: Counters, episodes: tuple[Episode, ...]) -> None:
    """Adds games that ended to the counters."""
    counters.episodes += len(episodes)
    counters.recent_scores.extend(episode.score for episode in episodes)
    lengths = (episode.length_steps for episode in episodes)
    counters.longest_episode_steps = max(counters.longest_episode_steps, *lengths, 0)


def _updates_due(training: Training, before: int) -> int:
    replay, steps = training.config.replay, training.counters.steps
    fewest_rows = 1 if replay.replacement else replay.batch_size
    if steps < replay.first_update_steps or len(training.buffer) < fewest_rows:
        return 0
    return periods(before, steps, replay.learn_period_steps) * replay.num_updates


def periods(before: int, after: int, period: int) -> int:
    """How many multiples of `period` lie in (before, after]."""
    return after // period - before // period


def _do_updates(training: Training, beta: float) -> tuple[Update, ...]:
    """Those that are due."""
    counters = training.counters
    num_updates, counters.updates_due = counters.updates_due, 0
    updates = tuple(_update(training, beta) for _ in range(num_updates))
    counters.updates += num_updates
    if updates:
        training.metrics = updates[-1].metrics
    return updates


def _update(training: Training, beta: float) -> Update:
    replay = training.config.replay
    _take_priorities(training)
    batch = draw_batch(training.buffer, training.agent, replay.batch_size, beta)
    with training.pace:
        update = training.agent.learn(batch)
    if replay.prioritized and update.priorities is not None:
        training.readback = read_back(batch.key, update.priorities)
    return update


def _take_priorities(training: Training) -> None:
    """Gives the replay the priorities of the last update, before anything depends on them."""
    if training.readback is None:
        return
    key, priorities = training.readback.key, training.readback.array()
    training.readback = None
    if not np.isfinite(priorities).all():
        raise diverged(training, "loss", math.nan)
    training.buffer.update_priorities(key, priorities)


def check_finite(training: Training) -> None:
    """Raises MujigaeError where a metric of the latest update is not finite."""
    for name, value in training.metrics.items():
        if not math.isfinite(value):
            raise diverged(training, name, float(value))


def diverged(training: Training, name: str, value: float) -> MujigaeError:
    """The error of a run whose loss, or another metric, is no longer finite."""
    rate = training.config.flat().get("learning_rate")
    advice = "" if rate is None else f"; try a learning_rate below {rate:g}"
    return MujigaeError(f"training diverged at step {training.counters.steps}: the {name} is {value}{advice}")
