"""The command line: `mujigae train | evaluate | record | plot | push | pull | replay | info`.

Every deliberate error is one line on stderr and exit status 2; --traceback or MUJIGAE_TRACEBACK=1 shows
where it came from. Only `info` and what `replay` prints work without the train extra, and importing this
module needs nothing but NumPy.
"""

from __future__ import annotations

import io
import json
import os
import platform
import select
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from mujigae.agents.dqn.presets import FAMILIES
from mujigae.agents.presets import resolve
from mujigae.agents.registry import lookup, offered, preset_values, presets
from mujigae.config import options as cli_options
from mujigae.config.checks import close_matches
from mujigae.config.run import Run
from mujigae.config.unused import unused_lines
from mujigae.errors import ConfigError, MujigaeError, require
from mujigae.replay.buffer import ReplayBuffer

__all__ = ["main"]

USAGE = """\
usage: mujigae COMMAND ...

  train PRESET [--env ID] [--steps N] ...   train an agent; every field of the configuration is an option
  train MODULE:CLASS [--env ID] ...         train an agent of your own (see mujigae.agents)
  train --resume RUN [--steps N]            continue a run from its checkpoint
  evaluate RUN [--episodes N]               play whole games; ends with the mean return +- its standard error
  record RUN                                film one game, and draw what the agent expected of it
  plot RUN...                               draw learning curves into one picture
  push RUN DESTINATION                      a run's networks, configuration and card to a folder or to hf://USER/NAME
  pull SOURCE                               a run from there, to evaluate and record
  replay FILE                               what a saved buffer holds; a film of an episode; export to Minari
  info                                      versions, build, presets, families, devices
  --version                                 the version alone

mujigae COMMAND --help has the options of each."""

EXIT_ERROR, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 2, 130, 141
EXIT_SIGNAL = 128  # plus the signal's number: 130 after Ctrl-C, 143 after SIGTERM


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    _show_what_the_encoding_lacks()
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            if sys.stdout is not None:  # None in a process without one, as under some service managers
                sys.stdout.flush()
    except BrokenPipeError:
        if not _has_lost_its_reader():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it exits
        return EXIT_BROKEN_PIPE


def _show_what_the_encoding_lacks() -> None:
    """Characters that a terminal's encoding lacks are printed as escapes instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _has_lost_its_reader() -> bool:
    """Whether the output goes into a pipe that nobody reads any more, as after `| head`."""
    output = select.poll()
    output.register(sys.stdout, 0)
    return bool(output.poll(0))


def _run(args: list[str]) -> int:
    wants_traceback = "--traceback" in args or os.environ.get("MUJIGAE_TRACEBACK", "") not in ("", "0")
    args = [arg for arg in args if arg != "--traceback"]
    try:
        return _dispatch(args)
    except MujigaeError as error:
        if wants_traceback:
            traceback.print_exc()
        print(f"mujigae: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("mujigae: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _dispatch(args: list[str]) -> int:
    if args[:1] in (["info"], ["replay"]):  # those that NumPy is enough for
        return {"info": _info, "replay": _replay}[args[0]](args[1:])
    if args == ["--version"]:
        print(f"mujigae {_version('mujigae')}")
        return 0
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    commands: dict[str, Callable[[list[str]], int]] = {
        "train": _train,
        "evaluate": _evaluate,
        "record": _record,
        "plot": _plot,
        "push": _push,
        "pull": _pull,
    }
    if args[0] not in commands:
        raise ConfigError(
            f"unknown command {args[0]!r}{close_matches(args[0], [*commands, 'replay', 'info'])}"
        )
    for package in ("torch", "gymnasium"):
        require(package, "train")
    _find_modules_of_the_current_folder()
    return commands[args[0]](args[1:])


def _find_modules_of_the_current_folder() -> None:
    """For agents and environments of the user's own, as `python -m mujigae` finds them; installed ones come first."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())


def _train(args: list[str]) -> int:
    from mujigae.runs.folder import find, read_config

    given = [arg for arg in args if arg not in ("-h", "--help")]
    chosen = cli_options.early(given)
    if given == args and (chosen.preset, chosen.env_id, chosen.resume) == (None, None, None):
        raise ConfigError(
            "train: expected a preset first (mujigae info lists them), or --env or --resume, got none of them"
        )
    saved = None
    if chosen.resume is not None:
        saved = read_config(find(chosen.resume, chosen.runs), trust_modules=chosen.trust_modules)
    preset = chosen.preset or Run.preset
    agent = preset_values(preset)[0] if saved is None else lookup(saved.agent_name)
    options, changes = cli_options.parse_train(given, agent.config_class)
    if given != args:
        base = _resolved(options, changes) if saved is None else saved
        cli_options.show_train_help(agent.config_class, _defaults_for_help(base))
    return _train_new(options, changes) if saved is None else _resume(options, saved, changes)


def _defaults_for_help(base: Run) -> dict[str, Any]:
    """The values of `base`, with what `fastest` would find beside it."""
    from mujigae.training.precision import time_updates_of

    values = base.flat()
    if base.hardware.precision == "fastest":
        require("torch", "train").set_num_threads(base.hardware.num_threads or 1)
        values["precision"] = f"fastest: here {time_updates_of(base)}"
    return values


def _train_new(options: Any, changes: dict[str, Any]) -> int:
    from mujigae.runs.closing import warn
    from mujigae.runs.session import train_run

    config = _resolved(options, changes)
    for line in unused_lines(config, changes):
        warn(line)
    how = {"tracking": _tracking(options), **_workers(options, None)}
    outcome = train_run(config, root=options.runs, name=options.name, **how)
    return _conclude(outcome, options.eval_episodes)


def _resolved(options: cli_options.TrainOptions, changes: dict[str, Any]) -> Run:
    """The whole configuration of a new run, from what was given on the command line."""
    env_id = changes.pop("env_id", None)
    num_workers = options.actors + options.shards if options.actors else 0
    return resolve(options.preset or Run.preset, env_id, changes, num_workers=num_workers)


def _tracking(options: cli_options.TrainOptions) -> Any:
    from mujigae.runs.tracking.opening import Tracking

    return None if options.track is None else Tracking(options.track, options.track_project)


def _workers(options: cli_options.TrainOptions, resumed: Path | None) -> dict[str, Any]:
    """How a run is built whose rows come from other processes, as `train_run` takes it; nothing for one process."""
    if resumed is None and options.actors == 0:
        if options.shards != 1 or options.workers is not None or options.address is not None:
            raise ConfigError("actors: expected at least 1 with --shards, --workers and --address, got 0")
        return {}
    from mujigae.distributed.carriers import Carrier
    from mujigae.distributed.workers import ClusterWorkers, saved_workers

    if resumed is None:
        carrier = Carrier.of(options.workers, options.address)
        return {"build": ClusterWorkers(options.actors, options.shards, carrier).build}
    workers = saved_workers(resumed, options.workers, options.address)
    counts = (0, 1) if workers is None else (workers.num_actors, workers.num_shards)
    for name, given, default, count in zip(
        ("actors", "shards"), (options.actors, options.shards), (0, 1), counts, strict=True
    ):
        if given not in (default, count):
            raise ConfigError(f"{name}: cannot change when a run is resumed (expected {count}, got {given})")
    if workers is None and (options.workers, options.address) != (None, None):
        raise ConfigError("workers: expected no --workers and no --address, as this run has one process")
    return {} if workers is None else {"build": workers.build}


def _resume(options: Any, saved: Run, changes: dict[str, Any]) -> int:
    from mujigae.runs.folder import find
    from mujigae.runs.session import resume_run

    if options.name is not None:
        raise ConfigError("name: cannot change when a run is resumed")
    if options.preset is not None:
        changes["preset"] = options.preset
    changes = {name: value for name, value in changes.items() if value != saved.flat()[name]}
    trust, folder = options.trust_modules, find(options.resume, options.runs)
    how = {"tracking": _tracking(options), **_workers(options, folder)}
    outcome = resume_run(folder, changes, trust_modules=trust, **how)
    return _conclude(outcome, options.eval_episodes)


def _conclude(outcome: Any, eval_episodes: int) -> int:
    if outcome.signal is not None:
        print(f"interrupted; to go on: mujigae train --resume {outcome.folder}")
        return EXIT_SIGNAL + int(outcome.signal)
    if eval_episodes > 0:
        _print_scores(outcome.folder, eval_episodes, trust_modules=True)
    return 0


def _evaluate(args: list[str]) -> int:
    from mujigae.runs.folder import find

    options = cli_options.parse(cli_options.EvaluateOptions, args, "evaluate")
    network = "best" if options.best else "latest"
    _print_scores(
        find(options.run),
        *(options.episodes, options.device, network, options.max_steps),
        trust_modules=options.trust_modules,
    )
    return 0


def _print_scores(folder: Path, num_episodes: int, *options: Any, trust_modules: bool) -> None:
    """options: as evaluate_run takes them."""
    from mujigae.runs.session import evaluate_run
    from mujigae.training.evaluate import summary

    scores = evaluate_run(folder, num_episodes, *options, trust_modules=trust_modules)
    print(f"lowest {scores.min():.1f}, highest {scores.max():.1f}")
    print(summary(scores))


def _record(args: list[str]) -> int:
    from mujigae.runs.folder import find
    from mujigae.runs.session import record_run

    options = cli_options.parse(cli_options.RecordOptions, args, "record")
    if options.best and options.untrained:
        raise ConfigError("record: expected --best or --untrained, got both")
    network: Any = "untrained" if options.untrained else "best" if options.best else "latest"
    run, trust = find(options.run), options.trust_modules
    for path in record_run(run, options.max_steps, options.device, network, trust_modules=trust):
        print(path)
    return 0


def _plot(args: list[str]) -> int:
    from mujigae.pictures import bands, curves, progress
    from mujigae.runs.folder import find

    options = cli_options.parse(cli_options.PlotOptions, args, "plot")
    if not options.runs:
        raise ConfigError("plot: expected at least one run folder, got none")
    if options.bands and options.columns:
        raise ConfigError("plot: expected --bands or --columns, got both")
    folders = [find(run) for run in options.runs]
    if options.columns:
        place = folders[0] if len(folders) == 1 else Path()
        print(progress.plot_progress(folders, options.out or place / "progress.png", options.columns))
        return 0
    out = options.out or (folders[0] / "curve.png" if len(folders) == 1 else Path("curves.png"))
    print((bands.plot_bands if options.bands else curves.plot)(folders, out))
    return 0


def _push(args: list[str]) -> int:
    from mujigae.runs.folder import find
    from mujigae.runs.shared import push_run

    options = cli_options.parse(cli_options.PushOptions, args, "push")
    how = {"private": options.private, "policy_only": options.policy_only}
    print(push_run(find(options.run), options.destination, trust_modules=options.trust_modules, **how))
    return 0


def _pull(args: list[str]) -> int:
    from mujigae.runs.shared import pull_run

    options = cli_options.parse(cli_options.PullOptions, args, "pull")
    print(pull_run(options.source, options.runs, options.name))
    return 0


def _replay(args: list[str]) -> int:
    from mujigae.replay.contents import contents_of, lines, open_unchanged
    from mujigae.runs.own_folders import find_replay

    options = cli_options.parse(cli_options.ReplayOptions, args, "replay")
    if options.export and (len(options.export) != 2 or options.export[0] != "minari"):
        raise ConfigError(f"export: expected minari NAME, got {' '.join(options.export)}")
    if options.json and (options.video is not None or options.export):
        raise ConfigError("json: expected without --video and --export, which print no contents")
    for name in ("episode", "array", "channels", "fps"):
        if options.video is None and getattr(options, name) != getattr(cli_options.ReplayOptions, name):
            raise ConfigError(f"{name}: expected beside --video, got {getattr(options, name)} without it")
    path = find_replay(options.file)
    buffer = open_unchanged(path)
    if options.video is not None:
        _film(buffer, options)
    if options.export:
        _export(buffer, options.export[1])
    if options.video is None and not options.export:
        contents = contents_of(buffer, path)
        print(json.dumps(contents, indent=2) if options.json else "\n".join(lines(contents)))
    return 0


def _film(buffer: ReplayBuffer, options: cli_options.ReplayOptions) -> None:
    require("gymnasium", "train")
    from mujigae.pictures.replayed import film_episode

    assert options.video is not None
    paths = film_episode(
        buffer,
        options.video,
        number=options.episode,
        name=options.array,
        channels=options.channels,
        fps=options.fps,
    )
    print(*paths, sep="\n")


def _export(buffer: ReplayBuffer, name: str) -> None:
    from mujigae.integrations.minari import to_minari

    try:
        dataset = to_minari(buffer, name)
    except (OSError, ValueError) as error:  # a name that is taken, or that Minari does not accept
        raise MujigaeError(f"export: {name} could not be written: {error}") from error
    print(f"{dataset.id}: {dataset.total_episodes:,} episodes, {dataset.total_steps:,} steps")


def _info(args: list[str]) -> int:
    if args and args[0] in ("-h", "--help"):
        print("usage: mujigae info\n\nversions, build, presets, families, devices")
        return 0
    if args:
        raise ConfigError(f"info: expected no arguments, got {args[0]!r}")
    print(f"python {platform.python_version()} on {platform.machine()}")
    for package in ("mujigae", "numpy", "torch", "gymnasium", "ale-py"):
        print(f"{package} {_version(package)}")
    print(f"engine: {_build_line()}")
    print(f"devices: {', '.join(_devices())}")
    preset_table = {name: agent.presets[name] for name, agent in presets().items()}
    for title, table in (("preset", preset_table), ("family", FAMILIES)):
        for name, values in table.items():
            print(f"{title} {name}: {' '.join(f'{k}={v}' for k, v in values.items()) or 'the defaults'}")
    for name, source in offered().items():
        print(f"preset {name}: {source}, of an installed package")
    return 0


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _build_line() -> str:
    build: dict[str, Any] = import_module("mujigae").build_info()
    return ", ".join(f"{name} {value}" for name, value in build.items())


def _devices() -> list[str]:
    try:
        torch = import_module("torch")
    except ImportError:
        return ["none (torch is not installed)"]
    return ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
