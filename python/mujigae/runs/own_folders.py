"""The folders that a run makes inside its own: their exact names, how one takes another's place, how one is deleted.

    checkpoint-<step>       a checkpoint; <step> in plain digits, without leading zeros
    best                    the best snapshot
    <either>.tmp, .old      while it is written, and while it is replaced; a kill may leave them

Whatever is named otherwise, is a link, or holds a file that we do not write belongs to somebody else and stays.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from mujigae.errors import CheckpointError
from mujigae.runs.files import sync_folder

__all__ = [
    "AGENT",
    "BEST",
    "CHECKPOINT_PATTERN",
    "ENVIRONMENTS",
    "POLICY",
    "REPLAY",
    "SHARDS",
    "STATE",
    "aside_of",
    "checkpoints",
    "delete_others",
    "find",
    "find_replay",
    "put",
    "step_of",
]

BEST = "best"
AGENT, STATE, REPLAY = "agent.safetensors", "state.json", "replay.mujigae"
POLICY = "policy.safetensors"  # in the place of AGENT where a run is only to be played
SHARDS = "replay"  # the folder of the rows of a run with actors
ENVIRONMENTS = "environments.safetensors"

CHECKPOINT_PATTERN = r"checkpoint-(0|[1-9][0-9]{0,17})"
_CHECKPOINT = re.compile(CHECKPOINT_PATTERN)
_LEFTOVER = re.compile(rf"({_CHECKPOINT.pattern}|{BEST})\.(tmp|old)")
_FILE = re.compile(
    rf"{re.escape(AGENT)}|{re.escape(POLICY)}|{re.escape(STATE)}|{re.escape(ENVIRONMENTS)}|{re.escape(REPLAY)}(\.[0-9]+-[0-9]+\.tmp)?"
)


def step_of(checkpoint: Path) -> int:
    """The step in a checkpoint's name."""
    return int(checkpoint.stem.removeprefix("checkpoint-"))


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in `folder`, by step. Where a kill came between two names, an old one counts."""
    names = [path.name for path in _folders(folder)]
    found = [folder / name for name in names if _CHECKPOINT.fullmatch(name)]
    if not found:
        found = [
            folder / name for name in names if name.endswith(".old") and _CHECKPOINT.fullmatch(name[:-4])
        ]
    return sorted(found, key=step_of)


def find(final: Path) -> Path | None:
    """`final`, or the old one, aside, where a kill came before the new one's name."""
    return next((path for path in (final, _old(final)) if path.is_dir()), None)


def find_replay(path: Path, root: Path = Path("runs")) -> Path:
    """The file of a buffer that `path` means: itself, or that of the checkpoint or the run (also by its name below `root`)
    that it is, the run's latest. Raises CheckpointError for any other folder, and for what does not exist.
    """
    for place in (path, root / path):
        if os.path.isdir(place):  # unlike Path's, False for a path that the system refuses
            return _replay_in(place)
        if os.path.lexists(place):
            return place
    raise CheckpointError(f"{path}: there is no such file, nor a run of this name")


def _replay_in(folder: Path) -> Path:
    # A run with actors, or a checkpoint of one.
    for place in (folder, folder / SHARDS, folder.parent / SHARDS):
        if names := sorted(map(str, place.glob("shard-*.mujigae"))):
            raise CheckpointError(f"{folder}: expected one file, got one for each shard: {', '.join(names)}")
    for found in (folder, *reversed(checkpoints(folder))):
        if os.path.lexists(found / REPLAY):
            return found / REPLAY
    raise CheckpointError(f"{folder}: no replay buffer in this folder, nor a checkpoint with one")


def aside_of(final: Path) -> Path:
    """An empty new folder to write to, which `put` gives the name of `final`; raises OSError, or CheckpointError."""
    aside = final.with_name(f"{final.name}.tmp")
    _make_room(aside)
    aside.mkdir(parents=True)
    return aside


def put(aside: Path, final: Path) -> None:
    """Renames; an old folder of the same name goes aside first, since it cannot be renamed onto. Raises OSError."""
    old = _old(final)
    sync_folder(aside)
    if os.path.lexists(final):
        _make_room(old)
        final.rename(old)
    aside.rename(final)
    sync_folder(final.parent)
    delete(old)


def delete_others(folder: Path, keep: Path) -> None:
    """Deletes the older checkpoints in `folder` and what a kill left of any; errors are no reason to stop a run."""
    for path in _folders(folder):
        is_ours = _CHECKPOINT.fullmatch(path.name) or _LEFTOVER.fullmatch(path.name)
        if is_ours and path != keep and not path.name.startswith(BEST):
            delete(path)


def delete(path: Path) -> None:
    """Deletes a folder that holds nothing but our files; any other stays as it is."""
    with contextlib.suppress(OSError):
        entries = [] if path.is_symlink() else list(os.scandir(path))
        if not all(_is_our_file(entry) for entry in entries):
            return
        for entry in entries:
            os.unlink(entry.path)
        path.rmdir()


def _is_our_file(entry: os.DirEntry[str]) -> bool:
    return bool(_FILE.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False)


def _make_room(path: Path) -> None:
    delete(path)
    if os.path.lexists(path):
        raise CheckpointError(f"{path}: in the way, and not deleted, since it is not ours")


def _old(final: Path) -> Path:
    return final.with_name(f"{final.name}.old")


def _folders(folder: Path) -> list[Path]:
    try:
        entries = list(os.scandir(folder))
        return [folder / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
