"""The options of each command as dataclasses that tyro turns into parsers; importing this needs tyro.

`train` gets every field of Config as an option, with the values that preset and environment choose as
defaults, so that `mujigae train rainbow --env ALE/Pong-v5 --help` shows what would run.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from mujigae.config.run import Config, close_matches, field_docs, field_types
from mujigae.errors import ConfigError

__all__ = ["EvaluateOptions", "PlotOptions", "RecordOptions", "TrainOptions", "parse", "train_options"]

T = TypeVar("T")


@dataclass(frozen=True)
class TrainOptions:
    """What `train` takes beside the fields of Config."""

    preset: tyro.conf.Positional[str | None] = None
    """Which parts the agent has: `mujigae info` lists the presets."""
    resume: Path | None = None
    """Continue this run (a folder) from its checkpoint; --steps, --minutes and the --stop-... may change."""
    name: str | None = None
    """Name of the run's folder instead of PRESET-ENV-SEED; a number is appended where it exists."""
    runs: Path = Path("runs")
    """Folder of the runs."""
    eval_episodes: int = 0
    """Games to evaluate on at the end; 0: none."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Plays whole games with the latest checkpoint, in environments of its own: raw rewards, noise silent.

    The last line is `return MEAN +- ERROR over N episodes`; ERROR is the standard error of the mean.
    """

    run: tyro.conf.Positional[Path]
    """Folder of a run."""
    episodes: int = 100
    """Games to play; each environment plays the same number, so that short games do not count more."""
    best: bool = False
    """Play with the best snapshot instead (kept by `train --best-episodes`), in games it was not chosen by."""
    device: str | None = None
    """Torch device; None: the run's own."""


@dataclass(frozen=True)
class RecordOptions:
    """Films one game of the latest checkpoint into the run's folder: play.gif and play.mp4, the values of the
    actions along it (q_values.png) and, for c51 and rainbow, their distributions (distributions.png, .gif, .mp4)."""

    run: tyro.conf.Positional[Path]
    """Folder of a run."""
    max_steps: int = 4_000
    """Stop filming after this many steps."""
    best: bool = False
    """Film the best snapshot, into files that begin with best_."""
    untrained: bool = False
    """Film the network as it was before training, into files that begin with untrained_."""
    device: str | None = None
    """Torch device; None: the run's own."""


@dataclass(frozen=True)
class PlotOptions:
    """Draws the learning curves of one run (into its folder) or of several (into curves.png here)."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs."""
    out: Path | None = None
    """The PNG to write."""
    bands: bool = False
    """One curve for each preset: the interquartile mean over its seeds, with a 95% bootstrap interval."""


def train_options(base: Mapping[str, Any]) -> type[Any]:
    """TrainOptions and the fields of Config; defaults are `base`'s where it has them, else Config's."""
    docs, types = field_docs(), field_types()
    config_fields = []
    for name in (f.name for f in fields(Config) if f.name != "preset"):
        help_ = tyro.conf.arg(help=docs[name], aliases=("--env",) if name == "env_id" else None)
        default = base.get(name, getattr(Config, name))
        config_fields.append((name, Annotated[types[name], help_], field(default=default)))
    return make_dataclass("Options", config_fields, bases=(TrainOptions,), frozen=True)


def parse(options: type[T], args: Sequence[str], command: str) -> T:
    """Reads `args`; raises ConfigError for what does not fit; --help prints the help and exits."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed, unknown = tyro.cli(
                options, args=list(args), prog=f"mujigae {command}", return_unknown_args=True
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ConfigError(f"{command}: {_first_message(said.getvalue())}") from None
    if unknown:
        known = [f"--{f.name.replace('_', '-')}" for f in fields(options)]  # type: ignore[arg-type]
        raise ConfigError(f"{command}: unknown option {unknown[0]!r}{close_matches(unknown[0], known)}")
    return parsed


def _first_message(box: str) -> str:
    """tyro draws a box: a title, the message, a rule, pointers to the help (in ASCII, a rule below the title too)."""
    message: list[str] = []
    for line in box.splitlines()[1:]:
        text = line.strip("│ ")
        if not re.fullmatch("[─-]+", text):
            message.append(text)
        elif message:
            break
    return " ".join(" ".join(message).split()) or "the options could not be read"
