"""A whole training run: the loop, and around it what makes it watchable, resumable and worth keeping."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mujigae.config.run import Run
from mujigae.errors import ConfigError, MujigaeError, require
from mujigae.runs import checkpoint
from mujigae.runs import folder as run_folder
from mujigae.runs.best import BestSnapshot
from mujigae.runs.display import Display
from mujigae.runs.log import RunLog
from mujigae.seeds import child_seed
from mujigae.training.evaluate import MAX_NUM_ENVS, evaluate, play
from mujigae.training.loop import Training, build, is_finished, run

__all__ = ["Outcome", "evaluate_run", "record_run", "resume_run", "train_run"]

BUDGETS = ("steps", "minutes", "stop_score", "stop_evaluation")
Network = run_folder.Network
Say = Callable[[str], None]

_ATARI_FRAMES_PER_SECOND = 60
_RENDERED_STEPS_PER_SECOND = 30
_FILM_MOMENTS_PER_SECOND = 12


class Outcome(NamedTuple):
    """How a run ended."""

    folder: Path
    was_interrupted: bool


def train_run(config: Run, *, root: Path, name: str | None = None, say: Say = print) -> Outcome:
    """A new run in `root/name`; everything that can be known to fail does so before anything is written."""
    training = build(config)
    for package in ("torch.utils.tensorboard", "safetensors.torch"):
        require(package, "train")
    folder = run_folder.create(root, name or run_folder.default_name(config))
    with run_folder.locked(folder):
        return _train(training, folder, say)


def resume_run(folder: Path, changes: dict[str, object], *, say: Say = print) -> Outcome:
    """Continues the run in `folder` from its checkpoint, with other budgets if `changes` has some."""
    config = run_folder.read_config(folder)
    fixed = sorted(changes.keys() - set(BUDGETS))
    if fixed:
        raise ConfigError(f"{fixed[0]}: cannot change when a run is resumed; {', '.join(BUDGETS)} can")
    with run_folder.locked(folder):
        training = build(config.changed(**changes))
        checkpoint.restore(training, checkpoint.latest(folder))
        return _train(training, folder, say)


def evaluate_run(
    folder: Path, num_episodes: int, device: str | None = None, network: Network = "latest"
) -> NDArray[np.float64]:
    """Raw returns [num_episodes] of the run's latest checkpoint, or of its best snapshot."""
    num_envs = min(num_episodes, MAX_NUM_ENVS)
    config, environment, agent = run_folder.load_player(
        folder, num_envs=num_envs, device=device, network=network
    )
    with closing(environment):
        seed = child_seed(config.seed, "evaluation")
        return evaluate(agent, environment, num_episodes=num_episodes, seed=seed)


def record_run(
    folder: Path, max_steps: int = 4_000, device: str | None = None, network: Network = "latest"
) -> list[Path]:
    """Films one game of the latest checkpoint, the best snapshot or the untrained network; draws what it expected.

    Writes play.gif, play.mp4 and q_values.png, for an agent with return distributions distributions.png, .gif and .mp4 too;
    of another network than the latest the names begin with "best_" or "untrained_".
    """
    from mujigae.pictures import distributions, video

    config, environment, agent = run_folder.load_player(
        folder, num_envs=1, device=device, render=True, network=network
    )
    is_atari = environment.family == "atari"
    fps = _ATARI_FRAMES_PER_SECOND / environment.frames_per_step if is_atari else _RENDERED_STEPS_PER_SECOND
    prefix = "" if network == "latest" else f"{network}_"
    game = distributions.Game(environment.action_names)
    with closing(environment):
        seed = child_seed(config.seed, "recording")
        moments = play(agent, environment, seed=seed, max_steps=max_steps)
        paths = [*video.record(game.watch(moments), folder, f"{prefix}play", fps)]
    if game.has_values:
        paths.append(distributions.draw_values(game, config.replay.gamma, folder / f"{prefix}q_values.png"))
    if game.has_distributions:
        paths.append(distributions.draw_moments(game, folder / f"{prefix}distributions.png"))
        frames, stem = distributions.film(game), f"{prefix}distributions"
        paths += video.record(frames, folder, stem, _FILM_MOMENTS_PER_SECOND, gif_side=640)
    return paths


def _train(training: Training, folder: Path, say: Say) -> Outcome:
    protocol = run_folder.protocol_line(training.config, training.environment)
    run_folder.write_config(folder, training.config, protocol)
    for line in (
        f"run: {folder}",
        f"protocol: {protocol}",
        f"configuration: {_in_one_line(training.config)}",
    ):
        say(line)
    for line in training.notes:
        say(line)
    if is_finished(training):
        done = f"already finished at step {training.counters.steps:,}"
        say(f"{done}; a larger --steps, --minutes or --stop-... goes on")
    with closing(training.environment), _interrupt_flag() as is_interrupted:
        _follow(training, folder, is_interrupted)
        was_interrupted = is_interrupted()
    if not was_interrupted:
        _draw(folder, say)
    return Outcome(folder, was_interrupted)


def _follow(training: Training, folder: Path, should_stop: Callable[[], bool]) -> None:
    """Runs the loop; at each boundary the logs reach the disk before the checkpoint that counts on them."""
    with closing(RunLog(folder, training)) as log, Display(training) as display, ExitStack() as stack:
        best = None
        if training.config.budget.best_episodes:
            best = stack.enter_context(closing(BestSnapshot(folder, training)))
        for progress in run(training, should_stop):
            row = log.observe(progress)
            if progress.is_boundary:
                if best is not None:
                    best.observe(progress, should_stop)
                log.sync()
                checkpoint.save(training, folder)
            display.show(progress, row)


def _draw(folder: Path, say: Say) -> None:
    """The pictures of a finished run; one that cannot be drawn (no game finished, Ctrl-C) is no reason to fail."""
    from mujigae.pictures import curves

    pictures: dict[str, Callable[[], Path]] = {
        "curve": lambda: curves.plot([folder], folder / "curve.png"),
        "film": lambda: record_run(folder)[0],
    }
    for what, draw in pictures.items():
        try:
            say(f"{what}: {draw()}")
        except MujigaeError as error:
            say(f"{what}: none ({error})")
        except KeyboardInterrupt:
            say(
                f"{what}: none (interrupted); the run is whole, and `mujigae plot` and `mujigae record` draw it"
            )
            return


def _in_one_line(config: Run) -> str:
    return " ".join(f"{name}={value}" for name, value in config.flat().items())


@contextmanager
def _interrupt_flag() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks the loop to stop at its next step; the second is a KeyboardInterrupt."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set
        return

    def ask(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        flag.set()
        print("\nstopping with a checkpoint; Ctrl-C again stops without one", file=sys.stderr)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield flag.is_set
    finally:
        signal.signal(signal.SIGINT, before)
