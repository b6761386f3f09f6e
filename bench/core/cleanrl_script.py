"""CleanRL's Rainbow is in no released package: its script at a pinned commit, checked, kept in the cache folder and nowhere else."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path

CLEANRL_COMMIT = "fe8d8a03c41a7ef5b523e2e354bd01c363e786bb"
CLEANRL_SHA256 = "f0741cf838ee372ee59244870a9ff9f43730be6aafd9e4acfed7860ae0ba4d0e"
CLEANRL_URL = f"https://raw.githubusercontent.com/vwxyzjn/cleanrl/{CLEANRL_COMMIT}/cleanrl/rainbow_atari.py"


def cleanrl(cache: Path, given: Path | None) -> dict[str, str]:
    """Where the script lies, as variables for an adapter: `given`, or the one in the cache folder, fetched where it is not there yet."""
    path = given or cache / "rainbow_atari.py"
    if not path.exists():
        with urllib.request.urlopen(CLEANRL_URL) as answer:
            path.write_bytes(answer.read())
    if hashlib.sha256(path.read_bytes()).hexdigest() != CLEANRL_SHA256:
        raise SystemExit(f"{path}: expected rainbow_atari.py of commit {CLEANRL_COMMIT}, got another file")
    return {"CLEANRL_RAINBOW": str(path.resolve()), "CLEANRL_COMMIT": CLEANRL_COMMIT}
