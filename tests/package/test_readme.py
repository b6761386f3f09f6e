"""What README.md promises: its two commands, its Python, its links and its command lines."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(*languages: str) -> list[str]:
    """The fenced code blocks of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def command_lines() -> list[str]:
    """Each `mujigae ...` of the shell blocks, without the `$` and the comment."""
    lines = [
        line.strip().removeprefix("$ ")
        for body in blocks("sh", "bash", "console", "shell")
        for line in body.splitlines()
    ]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [part for part in parts if part.startswith("mujigae ")]


@pytest.mark.parametrize(
    "command",
    ['python -m pip install ".[atari]" && mujigae train pong', 'python -m pip install ".[test]" && pytest'],
)
def test_readme_has_the_set_up_command_on_a_line_of_its_own(command: str) -> None:
    assert command in [line.strip().removeprefix("$ ") for line in README.splitlines()]


def test_python_of_the_readme_runs_in_order(tmp_path: Path) -> None:
    script = "\n".join(blocks("python", "py"))
    assert "import mujigae" in script
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_link_into_the_repository_leads_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", README)
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert missing == []


def test_every_option_of_a_command_line_in_the_readme_exists(capsys: pytest.CaptureFixture[str]) -> None:
    from mujigae.cli import main

    assert command_lines(), "the README shows the command line"
    for line in command_lines():
        words = shlex.split(line, comments=True)[1:]
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        with contextlib.suppress(SystemExit):  # how the parser ends after its help
            main([words[0], "--help"])
        help_text = capsys.readouterr().out
        assert f"usage: mujigae {words[0]}" in help_text, line
        known = set(re.findall(r"--[\w-]+", help_text))
        assert [option for option in options if option not in known] == [], line


def test_numbers_are_those_of_the_committed_results() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "bench/report.py"), "--check"], check=False)
    assert done.returncode == 0, "run: python bench/report.py"
