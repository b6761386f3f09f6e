"""The folder of one run: making a new one, reading an old one, loading its agent.

config.json  protocol.txt  progress.csv  episodes.csv  tensorboard/  checkpoint-<step>/
evaluations.csv and best/ (with best_episodes)
curve.png  progress.png  play.gif  play.mp4
imports.hmac (where modules are named)  tracking.json (with a tracker)
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mujigae.agents.agent import Agent
from mujigae.agents.registry import config_of, create_agent
from mujigae.config.run import Run
from mujigae.config.saved import run_from_values, run_to_json
from mujigae.envs.environment import Environment
from mujigae.envs.make import make
from mujigae.errors import CheckpointError, ConfigError, MujigaeError, require
from mujigae.runs.checkpoint import best, latest, restore_agent, restore_environment
from mujigae.runs.consent import check_consent, mark_as_ours
from mujigae.runs.files import write_whole
from mujigae.runs.reading import read_json, read_table, reason_of

__all__ = [
    *(
        "Network",
        "create",
        "default_name",
        "find",
        "had_a_checkpoint",
        "load_player",
        "locked",
        "protocol_line",
        "read_config",
    ),
    "named_in_errors",
    "write_config",
]

Network = Literal[
    "latest", "best", "untrained"
]  # the latest checkpoint's, the best snapshot's, the one before training


def default_name(config: Run) -> str:
    """`rainbow-CartPole-v1-0`: preset, environment and seed, in letters that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{config.preset}-{config.env.env_id}-{config.seed}")


def create(root: Path, name: str) -> Path:
    """A new folder `root/name`; where that exists, `name-2`, `name-3` ... Nothing is ever overwritten.

    Raises MujigaeError where it cannot be made, or its path is not Unicode, as TensorBoard and the pictures need it.
    """
    try:
        os.fspath(root / name).encode()
    except UnicodeEncodeError:
        raise MujigaeError(f"name: expected a path in Unicode, got {os.fspath(root / name)!a}") from None
    number = 1
    while True:
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise MujigaeError(f"{folder}: cannot be made: {error.strerror}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from training in `folder`; MujigaeError where one does already."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _lock(descriptor):
            raise MujigaeError(f"{folder}: another process is training in this folder")
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """False where somebody else has the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def find(run: Path, root: Path = Path("runs")) -> Path:
    """The folder of a run given as a path, or as a name below `root`; raises ConfigError if it is not one."""
    for folder in (run, root / run):
        if os.path.isfile(folder / "config.json"):  # unlike Path's, False for a path that the system refuses
            return folder
    raise ConfigError(f"{run}: not a run folder, it has no config.json")


def read_config(folder: Path, *, trust_modules: bool = False) -> Run:
    """The configuration that the run was made with; raises ConfigError naming the file.

    trust_modules: import the modules that it names, whoever made the run (see `consent`).
    """
    path = folder / "config.json"
    values = read_json(path)
    try:
        if not trust_modules:
            check_consent(folder, values)
        return run_from_values(values, config_of)
    except ConfigError as error:
        raise ConfigError(f"{path}: {reason_of(error)}") from error


def write_config(folder: Path, config: Run, protocol: str) -> None:
    """Writes config.json and protocol.txt, each in one piece; whoever calls this trusts the modules that `config` names."""
    mark_as_ours(folder, config.flat())
    for name, text in (("config.json", run_to_json(config)), ("protocol.txt", protocol + "\n")):
        write_whole(folder / name, text)


def protocol_line(config: Run, environment: Environment) -> str:
    """Everything a score depends on, in one line: the environment's part, then the learner's."""
    rewards = "clipped to [-1, 1]" if config.env.clip_rewards else "raw"
    parts = (
        *(environment.protocol, f"learner's rewards {rewards}", config.agent.protocol()),
        _cost_of_exact_resume(config),
    )
    return "; ".join(part for part in parts if part)


def _cost_of_exact_resume(config: Run) -> str:
    period, num_envs = config.budget.checkpoint_period_steps, config.env.num_envs
    if not config.budget.exact_resume:
        return ""
    return (
        f"exact resume: every {period:,} steps all training games are cut as truncated and begun anew, so that none lasts "
        f"longer than {-(-period // num_envs):,} steps"
    )


@contextmanager
def named_in_errors(folder: Path) -> Iterator[None]:
    """Turns what values that no run of ours was made with lead to (a layer of 10^12 units) into a ConfigError."""
    try:
        yield
    except MujigaeError:
        raise
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder / 'config.json'}: cannot be used: {reason_of(error)}") from error


def had_a_checkpoint(folder: Path, config: Run) -> bool:
    """Whether the run in `folder` came so far that it must have written one."""
    path = folder / "progress.csv"
    if not os.path.lexists(path):
        return False
    steps = [int(row[0]) for _, row in read_table(path) if row and re.fullmatch("[0-9]{1,18}", row[0])]
    return max(steps, default=0) > config.budget.checkpoint_period_steps + config.env.num_envs


def load_player(
    folder: Path,
    *,
    num_envs: int,
    device: str | None = None,
    render: bool = False,
    network: Network = "latest",
    trust_modules: bool = False,
) -> tuple[Run, Environment, Agent]:
    """The configuration, an environment for evaluation, and the agent with the network that is asked for.

    Raises ConfigError for a folder that is no run, CheckpointError for a checkpoint that cannot be trusted.
    """
    config = read_config(folder, trust_modules=trust_modules)
    # What speeds up learning is not found on every machine, and nothing is learned here.
    config = config.changed(compile=False, cuda_graphs=False, device=device or config.hardware.device)
    if network != "untrained":
        _checkpoint(folder, network)  # an error before anything is made
    torch = require("torch", "train")
    with named_in_errors(folder):
        torch.set_num_threads(config.hardware.num_threads or 1)
        environment = make(replace(config.env, num_envs=num_envs), training=False, render=render)
        agent = create_agent(config, environment.observation_space, environment.action_space)
    if network != "untrained":
        try:
            _restore_player(agent, environment, _checkpoint(folder, network))
        except CheckpointError:
            # A training that goes on may have replaced it meanwhile; what is corrupt is so again.
            _restore_player(agent, environment, _checkpoint(folder, network))
    return config, environment, agent


def _restore_player(agent: Agent, environment: Environment, checkpoint: Path) -> None:
    restore_agent(agent, checkpoint)
    restore_environment(environment, checkpoint)


def _checkpoint(folder: Path, network: Network) -> Path:
    return best(folder) if network == "best" else latest(folder)
