"""`python -m mujigae.conformance`: see the package's docstring."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from mujigae.conformance import CASES, Adapter, Result, report, run
from mujigae.conformance.case import Case
from mujigae.conformance.runner import TIMEOUT_SECONDS

MAX_TIMEOUT_SECONDS = 86_400.0
OURS = {"compiled": "mujigae.conformance.ours:Mujigae", "reference": "mujigae.conformance.ours:Reference"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the suite; 0 when nothing failed, 1 when something did, 2 for arguments that make no sense."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        return _run(arguments)
    except ValueError as error:
        parser.error(str(error))


def _run(arguments: argparse.Namespace) -> int:
    wanted = _wanted(arguments.only)
    if not 0 < arguments.timeout_seconds <= MAX_TIMEOUT_SECONDS:
        raise ValueError(
            f"--timeout-seconds: expected more than 0, at most a day, got {arguments.timeout_seconds}"
        )
    if arguments.json and not os.access(arguments.json.parent, os.W_OK):
        raise ValueError(f"--json: expected a file in a folder that can be written, got {arguments.json}")
    if arguments.list:
        for one in wanted:
            print(f"{one.id:5}{one.name}\n     {one.why}\n     {one.source}")
        return 0
    adapter = _adapter(OURS[arguments.impl] if arguments.adapter is None else arguments.adapter)
    results = run(
        adapter,
        wanted,
        is_isolated=arguments.isolate,
        timeout_seconds=arguments.timeout_seconds,
        on_result=_say,
    )
    summary = report(adapter, results)
    counts = summary["counts"]
    if arguments.json:
        arguments.json.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(f"{adapter.name} {adapter.version}: " + ", ".join(f"{n} {status}" for status, n in counts.items()))
    return int(counts["failed"] > 0)


def _say(result: Result) -> None:
    reason = f": {result.reason}" if result.reason else ""
    print(f"{result.status:12}{result.id:5}{result.name}{reason}", flush=True)


def _wanted(only: Sequence[str] | None) -> list[Case]:
    """The cases with these ids or names, all if None."""
    if only is None:
        return list(CASES)
    unknown = set(only) - {label for one in CASES for label in (one.id, one.name)}
    if unknown:
        raise ValueError(f"--only: expected ids or names of cases (--list has them), got {sorted(unknown)}")
    return [one for one in CASES if {one.id, one.name} & set(only)]


def _adapter(path: str) -> type[Adapter]:
    module, _, name = path.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        adapter = getattr(import_module(module), name)
    except Exception as error:  # whatever importing somebody's module can raise
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"--adapter: expected MODULE:CLASS, got {path!r} ({reason})") from error
    if not (isinstance(adapter, type) and issubclass(adapter, Adapter)):
        raise ValueError(
            f"--adapter: expected a class derived from mujigae.conformance.Adapter, got {adapter!r}"
        )
    return adapter


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m mujigae.conformance", description="What a replay buffer must do."
    )
    parser.add_argument("--adapter", metavar="MODULE:CLASS", help="your buffer instead of mujigae's")
    parser.add_argument(
        "--impl", choices=sorted(OURS), default="compiled", help="which of mujigae's (default: compiled)"
    )
    parser.add_argument("--only", nargs="+", metavar="ID", help="cases by id or name")
    parser.add_argument("--isolate", action="store_true", help="each case in a process of its own")
    parser.add_argument(
        "--timeout-seconds", type=float, default=TIMEOUT_SECONDS, help="for each case (default: 120)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results with versions")
    parser.add_argument("--list", action="store_true", help="say what the cases are, and run none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
