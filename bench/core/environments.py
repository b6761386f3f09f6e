"""Virtual environments for other libraries, each with its pinned releases, kept in a folder between runs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path.home() / ".cache/mujigae-peers"
TORCH_213 = ("torch==2.13.0",)
TORCH_215 = ("torch==2.15.0", "torchrl==0.14.1")  # gigabytes of CUDA, so others are put over this one


def environment(
    cache: Path,
    packages: tuple[str, ...],
    bare: tuple[str, ...] = (),
    wheel: Path | None = None,
    over: tuple[str, ...] = (),
) -> Path:
    """The Python of a virtual environment with these packages, made when there is none yet, and the wheel.

    Args:
        cache: folder that keeps the environments.
        packages: what pip installs.
        bare: installed without what they depend on.
        wheel: of mujigae, installed anew each time.
        over: packages of another environment, whose modules this one sees as well.
    """
    parts = (packages, bare, over) if over else (packages, bare)
    folder = cache.resolve() / hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
    python, is_complete = folder / "bin/python", folder / "is_complete"
    if not is_complete.exists():  # a run may have been ended while it made one
        seen = [str(_site(environment(cache, over)))] if over else []
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        (_site(python) / "over.pth").write_text("".join(f"{path}\n" for path in seen))
        pip(python, *packages)
        if bare:
            pip(python, "--no-deps", *bare)
        is_complete.touch()
    if wheel is not None:
        pip(python, "--no-deps", "--force-reinstall", str(wheel))
    return python


def pip(python: Path, *arguments: str) -> None:
    subprocess.run([str(python), "-m", "pip", "install", "-q", *arguments], check=True)


def build_wheel(cache: Path) -> Path:
    """A wheel of this working tree."""
    folder = cache / "wheel"
    for old in folder.glob("*.whl"):
        old.unlink()
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _site(python: Path) -> Path:
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    return site
