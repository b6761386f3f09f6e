"""What the pages show: their examples, their commands and their links.

A comment in front of a block says what a test does with it:

    <!-- test: slow -->              runs it with `pytest -m slow` only
    <!-- test: options only; ... --> checks that commands and options exist, without running them
    <!-- test: fragment; ... -->     compiles it: it is a part of a reader's own program

Python blocks of a page are one program. One that begins with `# name.py` is written to a file of that name instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [README, *DOCS]
SHELL, PYTHON = ("sh", "bash", "console", "shell"), ("python", "py")

FENCE = re.compile(
    r"(?:^<!-- test: (?P<mark>[\w ]+?)(?:;[^>]*)? -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)
FILE_NAME = re.compile(r"# (\w+\.py)\n")
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    body: str
    mark: str  # "", "slow", "options only" or "fragment"

    @property
    def file_name(self) -> str | None:
        """Where a reader puts it, if it is a file of its own."""
        found = FILE_NAME.match(self.body)
        return found[1] if found and self.language in PYTHON else None


def blocks(page: Path, languages: Sequence[str], after: str = "") -> list[Block]:
    """The fenced blocks of these languages, in order; those behind the line `after`, if there is one."""
    text = page.read_text(encoding="utf-8")
    found = FENCE.finditer(text.partition(after)[2] if after else text)
    every = [Block(match["language"], match["body"], match["mark"] or "") for match in found]
    return [block for block in every if block.language in languages]


def program(page: Path, marks: Sequence[str]) -> str:
    """The page's Python blocks of these marks as one program, without those that are files."""
    shown = blocks(page, PYTHON)
    return "\n".join(block.body for block in shown if block.mark in marks and block.file_name is None)


def files(page: Path) -> dict[str, str]:
    """The files that a page has its reader write."""
    return {block.file_name: block.body for block in blocks(page, PYTHON) if block.file_name is not None}


def command_lines(page: Path, marks: Sequence[str] | None = None) -> list[str]:
    """Each `mujigae ...` and `python -m mujigae...`, without the `$`; with `marks` those that can be run as they stand."""
    lines = [
        (line.strip().removeprefix("$ "), block.mark)
        for block in blocks(page, SHELL)
        for line in block.body.splitlines()
    ]
    if marks is not None:
        lines = [(line, mark) for line, mark in lines if mark in marks and "pip install" not in line]
    parts = [part.strip() for line, _ in lines for part in line.split("&&")]
    return [part for part in parts if part.startswith(("mujigae ", "python -m mujigae"))]


def links(page: Path) -> Iterator[str]:
    """Targets within the repository, with their anchors; those in blocks of code are none."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    yield from LINK.findall(text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
