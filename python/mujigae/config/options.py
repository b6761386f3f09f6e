"""Options of the command line: the fields of dataclasses as arguments of argparse, read once.

A field is an option (`learning_rate` is --learning-rate), its docstring the help, its type and bounds (`checks`) decide
what is taken: `--num-threads None`, `--hidden-sizes 64 64`, `--noisy` or `--no-noisy`. Everything that does not fit is
a ConfigError of one line.
"""

from __future__ import annotations

import argparse
import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, TypeVar, Union, get_args, get_origin

from mujigae.config.checks import (
    Count,
    NotNegative,
    Positive,
    check_fields,
    close_matches,
    describe,
    field_docs,
    field_types,
)
from mujigae.config.run import PARTS, AgentConfig, Run, part_types
from mujigae.errors import ConfigError

__all__ = [
    *("Early", "EvaluateOptions", "PlotOptions", "PullOptions", "PushOptions"),
    *("RecordOptions", "ReplayOptions", "TrainOptions"),
    *("parse", "parse_train", "show_train_help", "early"),
]

T = TypeVar("T")

POSITIONAL = {"positional": True}  # metadata of a field that is given without its name
_TITLES = {
    "env": "environment",
    "agent": "agent",
    "replay": "replay and updates",
    "budget": "budget and checkpoints",
    "hardware": "hardware",
}
_ALIASES = {"env_id": ("--env",)}


class Options:
    """Base of the dataclasses below: checked when made."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class TrainOptions(Options):
    """Trains an agent. What is not given is set by the preset and by what suits the environment, as shown here.

    PRESET comes first: a name that `mujigae info` lists, the name of an agent that an installed package offers (an entry
    point of the group "mujigae.agents"), or module:Class, an agent of your own (see mujigae.agents). With --env and without
    PRESET it is dqn.
    """

    preset: str | None = field(default=None, metadata=POSITIONAL)
    """Which agent, and which parts it has."""
    resume: Path | None = None
    """Continue this run (a folder) from its checkpoint; --steps, --minutes and the --stop-... may change."""
    name: str | None = None
    """Name of the run's folder instead of PRESET-ENV-SEED; a number is appended where it exists."""
    runs: Path = Path("runs")
    """Folder of the runs."""
    eval_episodes: NotNegative = 0
    """Games to evaluate on at the end; 0: none."""
    track: Literal["wandb", "mlflow", "trackio"] | None = None
    """Send the curves there too, as the tracker's own variables say; a resumed run goes on with what it had."""
    track_project: str = "mujigae"
    """Project (of MLflow: experiment) that a run with --track belongs to."""
    actors: NotNegative = 0
    """Collect in so many other processes, each with num_envs environments of its own; 0: in this one."""
    shards: Count = 1
    """With --actors: processes that hold the replay between them, each in a file on its own disk."""
    workers: Literal["processes", "ray"] | None = None
    """With --actors: processes of this machine, or of Ray (extra ray); None: of Ray with --address, else of this machine."""
    address: str | None = None
    """With --actors: the Ray cluster to join, as host:port or auto; None: with --workers ray a new one on this machine."""
    trust_modules: bool = False
    """Import the modules that a run of somebody else names (agent, environment, wrappers), which runs their code."""


@dataclass(frozen=True)
class EvaluateOptions(Options):
    """Plays whole games with the latest checkpoint, in environments of its own: raw rewards, noise silent.

    The last line is `return MEAN +- ERROR over N episodes`; ERROR is the standard error of the mean.
    """

    run: Path = field(metadata=POSITIONAL)
    """Folder of a run."""
    episodes: Count = 100
    """Games to play; each environment plays the same number, so that short games do not count more."""
    max_steps: Count | None = None
    """Steps after which a game is cut and counts with its score so far; None: the run's own eval_max_steps."""
    best: bool = False
    """Play with the best snapshot instead (kept by `train --best-episodes`), in games it was not chosen by."""
    device: str | None = None
    """Torch device; None: the run's own."""
    trust_modules: bool = False
    """Import the modules that a run of somebody else names (agent, environment, wrappers), which runs their code."""


@dataclass(frozen=True)
class RecordOptions(Options):
    """Films one game of the latest checkpoint into the run's folder: play.gif and play.mp4, the values of the
    actions along it (q_values.png) and, for c51 and rainbow, their distributions (distributions.png, .gif, .mp4)."""

    run: Path = field(metadata=POSITIONAL)
    """Folder of a run."""
    max_steps: Count = 4_000
    """Stop filming after this many steps."""
    best: bool = False
    """Film the best snapshot, into files that begin with best_."""
    untrained: bool = False
    """Film the network as it was before training, into files that begin with untrained_."""
    device: str | None = None
    """Torch device; None: the run's own."""
    trust_modules: bool = False
    """Import the modules that a run of somebody else names (agent, environment, wrappers), which runs their code."""


@dataclass(frozen=True)
class PlotOptions(Options):
    """Draws the learning curves of one run (into its folder) or of several (into curves.png here)."""

    runs: tuple[Path, ...] = field(default=(), metadata=POSITIONAL)
    """Folders of runs."""
    out: Path | None = None
    """The PNG to write."""
    bands: bool = False
    """One curve for runs that differ in their seeds alone: the interquartile mean, with a 95% bootstrap interval."""
    columns: tuple[str, ...] = ()
    """Draw these columns of progress.csv instead of returns, a panel each: loss epsilon mean_q ..."""


@dataclass(frozen=True)
class PushOptions(Options):
    """Writes what others need of a run to a new folder or to the Hugging Face hub: networks, configuration, tables,
    pictures and a card, README.md. No replay. `pull` makes a run of it again."""

    run: Path = field(metadata=POSITIONAL)
    """Folder of a run."""
    destination: str = field(metadata=POSITIONAL)
    """A new folder, or hf://USER/NAME (extra hub): a repository that is made where there is none."""
    private: bool = False
    """Make a new repository private; refused for a repository that is public."""
    policy_only: bool = False
    """Of each network what acting needs, about a quarter of the bytes; needs the environment, as `evaluate` does."""
    trust_modules: bool = False
    """Import the modules that a run of somebody else names (agent, environment, wrappers), which runs their code."""


@dataclass(frozen=True)
class PullOptions(Options):
    """Takes a run that was pushed into a new folder below runs/, for `evaluate` and `record`. It runs nothing of it."""

    source: str = field(metadata=POSITIONAL)
    """A folder, or hf://USER/NAME or hf://USER/NAME@REVISION (extra hub)."""
    name: str | None = None
    """Name of the run's folder instead of the source's; a number is appended where it exists."""
    runs: Path = Path("runs")
    """Folder of the runs."""


@dataclass(frozen=True)
class ReplayOptions(Options):
    """Prints what a saved buffer holds: rows, episodes, spaces, sampler, priorities, bytes. Its file is left as it is.

    FILE is a snapshot (buffer.save), the file of a buffer with path= that no process has open, or a run, whose latest
    checkpoint has one. Printing needs NumPy alone, --video the extra train, --export the library.
    """

    file: Path = field(metadata=POSITIONAL)
    """A file with a buffer, a run's folder, or the name of a run below runs/."""
    json: bool = False
    """Print one JSON object instead."""
    video: Path | None = None
    """Write the frames of an episode to this path, once with .gif and once with .mp4, instead of printing."""
    episode: int | None = None
    """Which episode --video shows: 0 is the oldest, -1 the newest; None: the newest that has ended."""
    array: str | None = None
    """Which array of the observations --video shows; None: the only one that can be images."""
    channels: Literal["auto", "first", "last"] = "auto"
    """Axis of the channels in images of three axes; auto: as their shape says."""
    fps: Positive = 15.0
    """Frames per second of --video."""
    export: tuple[str, ...] = ()
    """`minari NAME`: write all episodes as a new local Minari dataset, instead of printing."""


class Early(NamedTuple):
    """What has to be known before the options can be: it decides which agent they are of."""

    preset: str | None
    env_id: str | None
    resume: Path | None
    runs: Path
    trust_modules: bool


def early(args: Sequence[str]) -> Early:
    """A first look at the arguments of `train`: the preset is the first of them, the others may be anywhere."""
    preset = args[0] if args and not args[0].startswith("-") else None
    parser = _Parser("train", add_help=False)
    parser.add_argument(*_ALIASES["env_id"], "--env-id", dest="env_id")
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--runs", type=Path, default=TrainOptions.runs)
    parser.add_argument("--trust-modules", action=argparse.BooleanOptionalAction, default=False)
    found, _ = parser.parse_known_args(_dashed(args))
    return Early(preset, found.env_id, found.resume, found.runs, found.trust_modules)


def parse(options: type[T], args: Sequence[str], command: str) -> T:
    """The `options` in `args`; raises ConfigError for what does not fit; --help prints the help and exits."""
    parser = _Parser(command, description=options.__doc__)
    _add_fields(parser, options, {f.name: f.default for f in fields(options)})  # type: ignore[arg-type]
    return options(**_given(parser, args))


def parse_train(args: Sequence[str], agent: type[AgentConfig]) -> tuple[TrainOptions, dict[str, Any]]:
    """The options of `train` itself, and the fields of the configuration that `args` have; raises as `parse` does."""
    given = _given(_train_parser(agent, {}), args)
    own = {f.name: given.pop(f.name) for f in fields(TrainOptions) if f.name in given}
    return TrainOptions(**own), given


def show_train_help(agent: type[AgentConfig], defaults: Mapping[str, Any]) -> NoReturn:
    """Prints every option with its default in `defaults`, and exits."""
    _train_parser(agent, defaults).parse_args(["--help"])
    raise AssertionError("--help exits")


def _train_parser(agent: type[AgentConfig], defaults: Mapping[str, Any]) -> _Parser:
    parser = _Parser("train", usage="mujigae train PRESET [OPTIONS]", description=TrainOptions.__doc__)
    _add_fields(parser, TrainOptions, {f.name: f.default for f in fields(TrainOptions)})
    _add_fields(parser, Run, defaults, leave_out=(*PARTS, "preset", "agent_name"))
    for name, part in part_types(agent).items():
        _add_fields(parser.add_argument_group(_TITLES[name]), part, defaults)
    return parser


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are ConfigErrors, and whose help keeps the lines of a docstring."""

    def __init__(self, command: str, *, description: str | None = None, **options: Any) -> None:
        super().__init__(
            prog=f"mujigae {command}",
            description=description and inspect.cleandoc(description),
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )
        self.command = command

    def print_help(self, file: Any = None) -> None:
        """As argparse does, but a reader that has gone is not kept a secret."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.command}: {message.removeprefix('argument ')}")


def _given(parser: _Parser, args: Sequence[str]) -> dict[str, Any]:
    """What `args` have, and nothing else; ConfigError for an unknown option, with close matches."""
    known, unknown = parser.parse_known_args(_dashed(args))
    if unknown:
        options = [option for option in parser._option_string_actions if option.startswith("--")]
        raise ConfigError(
            f"{parser.command}: unknown option {unknown[0]!r}{close_matches(unknown[0], options)}"
        )
    return {k: tuple(v) if isinstance(v, list) else v for k, v in vars(known).items()}


def _dashed(args: Sequence[str]) -> list[str]:
    """--env_id is --env-id, as far as the name goes."""
    split = [arg.partition("=") for arg in args]
    return [
        (name.replace("_", "-") if name.startswith("--") else name) + equals + value
        for name, equals, value in split
    ]


def _add_fields(group: Any, part: type, defaults: Mapping[str, Any], leave_out: Sequence[str] = ()) -> None:
    """An argument for each field of the dataclass `part`; none has a default of argparse's own."""
    docs, hints = field_docs(part), field_types(part)
    for f in fields(part):
        if f.name in leave_out:
            continue
        default = defaults.get(f.name, MISSING)
        help_ = docs.get(f.name, "").replace("%", "%%")
        help_ += "" if default is MISSING else f" (default: {_shown(default)})".replace("%", "%%")
        keywords: dict[str, Any] = {"help": help_, "default": argparse.SUPPRESS, **_kind(hints[f.name])}
        if f.metadata.get("positional"):
            if "nargs" not in keywords and f.default is not MISSING:
                keywords["nargs"] = "?"
            group.add_argument(f.name, **keywords | {"metavar": f.name.upper()})
        else:
            group.add_argument(
                *_ALIASES.get(f.name, ()), f"--{f.name.replace('_', '-')}", dest=f.name, **keywords
            )


def _shown(default: Any) -> str:
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _kind(hint: Any) -> dict[str, Any]:
    """How argparse takes a value of the type `hint`."""
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return {"action": "extend", "nargs": "*", "type": _converter(item), "metavar": _metavar(item)}
    return {"type": _converter(hint), "metavar": _metavar(hint)}


def _choices(hint: Any) -> list[Any]:
    """The plain types that a value may have."""
    if get_origin(hint) is Annotated:
        return _choices(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [choice for argument in get_args(hint) for choice in _choices(argument)]
    return [hint]


def _metavar(hint: Any) -> str:
    words = {int: "INT", float: "FLOAT", str: "STR", Path: "PATH", types.NoneType: "None"}
    shown = [
        f"{{{','.join(get_args(choice))}}}" if get_origin(choice) is Literal else words[choice]
        for choice in _choices(hint)
    ]
    return "|".join(shown)


def _converter(hint: Any) -> Any:
    """From an argument's text to a value of the type `hint`."""

    def convert(text: str) -> Any:
        for choice in sorted(_choices(hint), key=lambda choice: choice is str):
            if choice is types.NoneType and text == "None":
                return None
            if get_origin(choice) is Literal and text in get_args(choice):
                return text
            if choice in (int, float, str, Path):
                try:
                    return choice(text)
                except ValueError:
                    pass
        raise argparse.ArgumentTypeError(f"expected {describe(hint)}, got {text!r}")

    return convert
