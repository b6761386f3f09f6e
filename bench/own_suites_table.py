"""What `tests/integrations/own_suites.py` found: the libraries' own tests of their buffers on mujigae's classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Table = Callable[[list[str], list[list[Any]]], str]


def section(results: dict[str, Any], table: Table) -> str:
    """One row a library."""
    rows = [[one["name"], version(one), one["passed"], num_left_out(one)] for one in results.values()]
    note = (
        "Which tests were left out, and why: [own_suites.md](bench/results/own_suites.md). A file is run whole: tests in it of classes that "
        "are not replaced count among those that passed, most of all in TorchRL's, which are about samplers and storages of every kind. Tests "
        "that their authors skip on this machine (GPUs, other platforms) are in neither column."
    )
    return table(["library", "version", "passed", "left out"], rows) + "\n\n" + note


def page(results: dict[str, Any], table: Table) -> str:
    """Every test that was left out, with the reason."""
    parts = [
        "# The libraries' own tests on mujigae's buffers",
        "Written by bench/report.py from [own_suites.json](own_suites.json), which tests/integrations/own_suites.py writes. It runs the "
        "tests of a checkout of the library with mujigae's classes in the place of the library's; nothing of them is copied. Every test "
        "of the files below passes, but for those that are left out.",
        *(part for one in results.values() for part in library(one, table)),
    ]
    return "\n\n".join(parts) + "\n"


def library(one: dict[str, Any], table: Table) -> list[str]:
    """The part of one library."""
    files = ", ".join(f"`{name}`" for name in one["files"])
    replaced = ", ".join(f"`{name}`" for name in one["replaced"])
    rows = [[f"`{left['tests']}`", left["number"], left["reason"]] for left in one["left_out"]]
    parts = [
        f"## {one['name']} {version(one)}",
        f"{files} of {one['revision']}. Replaced: {replaced}. {one['passed']} passed, {num_left_out(one)} were left out.",
    ]
    if rows:
        parts.append(table(["tests", "number", "why they were left out"], rows))
    if one["skipped"]:
        skipped = "; ".join(
            f"{part['tests']}: {part['reason'].removeprefix('Skipped: ')}" for part in one["skipped"]
        )
        parts.append(f"Skipped by the tests themselves: {skipped}.")
    return parts


def version(one: dict[str, Any]) -> str:
    """Of the library."""
    return str(next(iter(one["versions"].values())))


def num_left_out(one: dict[str, Any]) -> int:
    """Tests that were not run."""
    return sum(int(left["number"]) for left in one["left_out"])
