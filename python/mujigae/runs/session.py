"""A whole training run: the loop, and around it what makes it watchable, resumable and worth keeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from signal import Signals
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mujigae.config.run import Run
from mujigae.errors import CheckpointError, ConfigError, MujigaeError, require
from mujigae.pictures import curves, progress
from mujigae.runs import checkpoint
from mujigae.runs import folder as run_folder
from mujigae.runs.best import BestSnapshot
from mujigae.runs.closing import closed_in_the_end, warn
from mujigae.runs.display import Display
from mujigae.runs.display import say as to_stdout
from mujigae.runs.log import RunLog
from mujigae.runs.reading import reason_of
from mujigae.runs.record import record_run
from mujigae.runs.stopping import Stop, stop_on_signals
from mujigae.runs.tracking.opening import Tracking, require_tracker, saved_tracking
from mujigae.seeds import child_seed
from mujigae.training.evaluate import MAX_NUM_ENVS, evaluate, most_steps
from mujigae.training.loop import Training, build, is_finished, run

__all__ = ["CHANGEABLE", "Outcome", "evaluate_run", "record_run", "resume_run", "train_run"]

BUDGETS = ("steps", "minutes", "stop_score", "stop_evaluation")
HARDWARE = (
    *("device", "num_threads", "precision", "compile", "cuda_graphs", "channels_last"),
    "frames_on_device",
)
CHANGEABLE = (*BUDGETS, *HARDWARE)  # when a run is resumed
Network = run_folder.Network
Say = Callable[[str], None]
Build = Callable[[Run], Training]


class Outcome(NamedTuple):
    """How a run ended."""

    folder: Path
    signal: Signals | None  # the one that stopped it; None: it is finished


def train_run(
    config: Run,
    *,
    root: Path,
    name: str | None = None,
    say: Say = to_stdout,
    tracking: Tracking | None = None,
    build: Build = build,
) -> Outcome:
    """A new run in `root/name`; everything that can be known to fail does so before anything is written.

    tracking: where its curves go beside its folder.
    build: makes the run of the configuration.
    """
    require_tracker(tracking)
    training = build(config)
    for package in ("torch.utils.tensorboard", "safetensors.torch"):
        require(package, "train")
    folder = run_folder.create(root, name or run_folder.default_name(config))
    with run_folder.locked(folder):
        return _train(training, folder, say, tracking)


def resume_run(
    folder: Path,
    changes: dict[str, object],
    *,
    say: Say = to_stdout,
    trust_modules: bool = False,
    tracking: Tracking | None = None,
    build: Build = build,
) -> Outcome:
    """Continues the run in `folder` from its checkpoint, with other budgets or hardware if `changes` has some.

    A run that was stopped before its first checkpoint begins anew. On another device than CUDA, CUDA graphs are off.
    tracking: None for what it was tracked with before, which it goes on with in any case where that is the same tracker.
    """
    saved = saved_tracking(folder)
    if tracking is None or (saved is not None and saved.tracker == tracking.tracker):
        tracking = saved
    require_tracker(tracking)
    config = run_folder.read_config(folder, trust_modules=trust_modules)
    fixed = sorted(changes.keys() - set(CHANGEABLE))
    if fixed:
        raise ConfigError(f"{fixed[0]}: cannot change when a run is resumed; {', '.join(CHANGEABLE)} can")
    if not str(changes.get("device", "cuda")).startswith("cuda"):
        changes = {"cuda_graphs": False, **changes}
    with run_folder.locked(folder):
        with run_folder.named_in_errors(folder):
            training = build(config.changed(**changes))
        try:
            latest = checkpoint.latest(folder)
        except CheckpointError:
            if run_folder.had_a_checkpoint(folder, config):
                raise
            say("no checkpoint yet: the run begins anew")
        else:
            checkpoint.restore(training, latest)
        return _train(training, folder, say, tracking)


def evaluate_run(
    folder: Path,
    num_episodes: int,
    device: str | None = None,
    network: Network = "latest",
    max_steps: int | None = None,
    *,
    trust_modules: bool = False,
) -> NDArray[np.float64]:
    """Raw returns [num_episodes] of the run's latest checkpoint, or of its best snapshot.

    A game is cut after `max_steps` (None: the run's eval_max_steps, or the environment's limit where that is larger).
    """
    num_envs = min(num_episodes, MAX_NUM_ENVS)
    config, environment, agent = run_folder.load_player(
        folder, num_envs=num_envs, device=device, network=network, trust_modules=trust_modules
    )
    with closed_in_the_end(environment):
        return evaluate(
            agent,
            environment,
            num_episodes=num_episodes,
            seed=child_seed(config.seed, "evaluation"),
            max_steps=max_steps or most_steps(environment, config.budget.eval_max_steps),
            say=warn,
        )


def _train(training: Training, folder: Path, say: Say, tracking: Tracking | None) -> Outcome:
    protocol = run_folder.protocol_line(training.config, training.environment)
    run_folder.write_config(folder, training.config, protocol)
    for line in (
        f"run: {folder}",
        f"protocol: {protocol}",
        f"configuration: {_in_one_line(training.config)}",
        *training.notes,
        *_kept(training.environment.state_owners),
    ):
        say(line)
    with closed_in_the_end(training.environment), stop_on_signals(_stopping(training)) as stop:
        _follow(training, folder, say, stop, tracking)
    if stop.signal is None:
        _draw(folder, say)
    return Outcome(folder, stop.signal)


def _kept(owners: tuple[str, ...]) -> list[str]:
    """What is said of environments whose state outlives a reset."""
    if not owners:
        return []
    return [
        f"environment state: {', '.join(owners)}, saved with the run; evaluations use it and leave it as it is"
    ]


def _stopping(training: Training) -> str:
    if training.config.budget.exact_resume:
        return "stopping; the run goes on from its last checkpoint; Ctrl-C again stops at once"
    return "stopping with a checkpoint; Ctrl-C again stops without one"


def _follow(training: Training, folder: Path, say: Say, stop: Stop, tracking: Tracking | None) -> None:
    """Runs the loop. The logs reach the disk before the checkpoint that counts on them, and that before its games."""
    log, workers = RunLog(folder, training, tracking), training.workers
    with closing(log), Display(training) as display, ExitStack() as stack:
        if workers is not None:
            stack.enter_context(workers.started(training, folder))
        best = None
        if training.config.budget.best_episodes:
            best = stack.enter_context(closing(BestSnapshot(folder, training)))
            best.catch_up(_out_of_time(training, stop, folder))
        if is_finished(training):  # which games that were caught up on may have decided
            done = f"already finished at step {training.counters.steps:,}"
            say(f"{done}; a larger --steps, --minutes or --stop-... goes on")
        warned, is_slow = False, False
        for progress in (run if workers is None else workers.run)(training, stop):
            row = log.observe(progress)
            is_slow = is_slow or _warn_of_slow_updates(training)
            if progress.is_checkpoint:
                log.sync()
                has_games = (
                    training.config.budget.exact_resume or not stop()
                )  # also where a stop meets a period
                training.counters.is_evaluation_due = best is not None and has_games
                checkpoint.save(training, folder)
                if best is not None:
                    best.play(_out_of_time(training, stop, folder))
                warned = warned or _warn_of_cut_games(training)
            display.show(progress, row)


def _out_of_time(training: Training, stop: Stop, folder: Path) -> Callable[[], bool]:
    """Whether a run was asked to stop, or has used up its minutes; evaluations take some of them, but the first is played out."""
    minutes, began = training.config.budget.minutes, time.monotonic() - training.counters.seconds
    minutes = minutes if (folder / checkpoint.BEST).exists() else None
    return lambda: stop() or (minutes is not None and time.monotonic() - began >= 60 * minutes)


def _warn_of_cut_games(training: Training) -> bool:
    """Says so, once, where the checkpoints of an exactly resumable run come sooner than its games end."""
    budget, num_envs = training.config.budget, training.config.env.num_envs
    longest = max(training.counters.longest_episode_steps, *training.environment.stream.open_lengths)
    if not budget.exact_resume or longest * num_envs < budget.checkpoint_period_steps:
        return False
    warn(
        f"games of {longest:,} steps and more are cut by exact_resume: checkpoint_period_steps "
        f"{budget.checkpoint_period_steps:,} is {budget.checkpoint_period_steps // num_envs:,} in each of {num_envs} environments"
    )
    return True


def _warn_of_slow_updates(training: Training) -> bool:
    """Says so, once, where torch's threads wait for cores that other programs have."""
    hardware = training.config.hardware
    line = training.pace.warning(hardware.num_threads or 1) if hardware.device == "cpu" else None
    if line is not None:
        warn(line)
    return line is not None


def _draw(folder: Path, say: Say) -> None:
    """The pictures of a finished run; one that cannot be drawn, for whatever reason, is no reason to fail."""
    pictures: dict[str, Callable[[], Path]] = {
        "curve": lambda: curves.plot([folder], folder / "curve.png"),
        "progress": lambda: progress.plot_progress([folder], folder / "progress.png"),
        "film": lambda: record_run(folder, trust_modules=True)[0],
    }
    for what, draw in pictures.items():
        try:
            say(f"{what}: {draw()}")
        except MujigaeError as error:
            say(f"{what}: none ({error})")
        except Exception as error:  # whatever an environment's render() or reset() raises
            say(f"{what}: none ({type(error).__name__}: {reason_of(error)})")
        except KeyboardInterrupt:
            say(
                f"{what}: none (interrupted); the run is whole, and `mujigae plot` and `mujigae record` draw it"
            )
            return


def _in_one_line(config: Run) -> str:
    return " ".join(f"{name}={value}" for name, value in config.flat().items())
