"""What the README and every page of docs/ promise: their examples run, their commands work, their links lead somewhere."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from pages import DOCS, PAGES, PYTHON, ROOT, SHELL, anchors, blocks, command_lines, files, links, program

QUICK, ALL = ("",), ("", "slow")
OTHER_PAGES = [ROOT / name for name in ("CONTRIBUTING.md", "bench/README.md", "cpp/README.md")]
MARKS = {"", "slow", "options only", "fragment"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def is_migration(page: Path) -> bool:
    """Whether a page shows parts of programs that are written with another library."""
    return page.name.startswith("from-")


def run(command: list[str], folder: Path, timeout_seconds: int) -> None:
    """Runs it in `folder`, warnings being errors; what it prints is shown when it fails."""
    environment = os.environ | {"PYTHONWARNINGS": "error" if command[1] == "-c" else "default"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"


def run_page(page: Path, folder: Path, marks: tuple[str, ...], timeout_seconds: int) -> None:
    """Writes the page's files, then runs its Python, then its commands."""
    for name, text in files(page).items():
        (folder / name).write_text(text, encoding="utf-8")
    run([sys.executable, "-c", program(page, marks)], folder, timeout_seconds)
    for line in command_lines(page, marks):
        words = shlex.split(line, comments=True)
        words = ["-m", *words] if words[0] == "mujigae" else words[1:]
        run([sys.executable, *words], folder, timeout_seconds)


@pytest.mark.parametrize("page", [page for page in PAGES if not is_migration(page)], ids=name_of)
def test_examples_and_commands_run_as_written(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path, QUICK, timeout_seconds=120)


def has_slow_blocks(page: Path) -> bool:
    return any(block.mark == "slow" for block in blocks(page, (*PYTHON, *SHELL)))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if has_slow_blocks(page)], ids=name_of)
def test_long_examples_and_commands_run_as_written(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path, ALL, timeout_seconds=1200)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_block_compiles(page: Path) -> None:
    for block in blocks(page, PYTHON):
        assert block.mark in MARKS
        ast.parse(block.body)


@pytest.mark.parametrize("page", [page for page in DOCS if is_migration(page)], ids=name_of)
def test_what_a_migration_page_imports_from_mujigae_is_there(page: Path) -> None:
    for block in blocks(page, PYTHON):
        for node in ast.walk(ast.parse(block.body)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mujigae"):
                assert find_spec(node.module or "") is not None, f"{page.name} imports {node.module}"
                try:
                    module = importlib.import_module(node.module or "")
                except ImportError as error:
                    pytest.skip(str(error))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


# What a reader of a migration page has already, where its program can run without a download.
READERS = {
    "from-gymnasium.md": """
import gymnasium, mujigae
envs = gymnasium.make_vec("CartPole-v1", num_envs=8)
buffer = mujigae.ReplayBuffer(100, envs.single_observation_space, envs.single_action_space, num_envs=8)
policy = lambda obs: envs.action_space.sample()
training = iter([True] * 200 + [False]).__next__
""",
    "from-stable-baselines3.md": """
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.envs import BitFlippingEnv, FakeImageEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack
image = lambda: FakeImageEnv(screen_height=40, screen_width=40, n_channels=1, discrete=True, channel_first=True)
env, goal_env = VecFrameStack(DummyVecEnv([image]), 4), BitFlippingEnv(continuous=True)
""",
    "from-torchrl.md": "from torchrl.data import TensorDictReplayBuffer\n",
}


@pytest.mark.parametrize("page", [page for page in DOCS if page.name in READERS], ids=name_of)
def test_migrated_program_runs(page: Path, tmp_path: Path) -> None:
    shown = "\n".join(block.body for block in blocks(page, PYTHON, after="## The one line"))
    script = READERS[page.name] + shown.replace("while training:", "while training():")
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("mujigae") or find_spec(node.module or "") is not None
            pytest.importorskip(node.module or "", exc_type=ImportError)
    run([sys.executable, "-W", "default", "-c", script], tmp_path, timeout_seconds=120)


@functools.cache
def help_of(*words: str) -> str:
    """What `mujigae WORDS --help` prints."""
    from mujigae.cli import main

    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):  # how the parser ends after its help
        main([*words, "--help"])
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_and_option_exists(page: Path) -> None:
    from mujigae.agents.registry import presets

    for line in command_lines(page):
        words = shlex.split(line, comments=True)
        if words[0] != "mujigae":
            continue  # run as it stands
        command, options = words[1], [word.partition("=")[0] for word in words if word.startswith("--")]
        preset = [word for word in words[2:3] if word in presets()]  # it decides which options there are
        help_text = help_of(command, *preset)
        assert f"usage: mujigae {command}" in help_text, line
        known = {"--help", *re.findall(r"--[\w-]+", help_text)}
        assert [option for option in options if option not in known] == [], line


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_every_extra_that_is_installed_exists(page: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(
        r"(?:pip install[^\n]*?|\")(?:\.|mujigae)\[([\w,-]+)\]", page.read_text(encoding="utf-8")
    )
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(link)
    assert broken == []
