"""Checkpoints: a folder `checkpoint-<step>` with everything that a run needs to continue exactly.

    agent.safetensors   networks, Adam's moments, the noise generator
    state.json          format, counters, NumPy's generator, sha256 of the other files and of itself
    replay.mujigae      the replay buffer, in the engine's own format

`best` is such a folder without the replay, of the network that scored most in evaluation.

No pickle. A checkpoint is written aside, synced and renamed, and only then are the older ones deleted:
whatever goes wrong while saving, the one before is still there. Loading checks every byte before anything
is believed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mujigae
from mujigae.errors import CheckpointError, SnapshotError, require
from mujigae.training.loop import NUM_STOP_GAMES, Counters, Training

__all__ = [
    *("BEST", "FORMAT", "VERSION", "best", "best_state", "find_best", "latest", "restore", "restore_agent"),
    *("save", "save_agent", "step_of"),
]

FORMAT = "mujigae checkpoint"
VERSION = 1
AGENT, STATE, REPLAY = "agent.safetensors", "state.json", "replay.mujigae"
BEST = "best"


def save(training: Training, folder: Path) -> Path:
    """Writes `folder/checkpoint-<step>` and deletes older ones; call it at a boundary.

    Raises CheckpointError when it cannot be written (a full disk); the previous checkpoint is untouched.
    """
    final = folder / f"checkpoint-{training.counters.steps}"
    _write_folder(training, final, with_replay=True, more={})
    _delete_others(folder, keep=final)
    return final


def save_agent(training: Training, final: Path, more: Mapping[str, Any]) -> None:
    """Writes the agent without its replay, and `more` into its state.json; otherwise as `save`."""
    _write_folder(training, final, with_replay=False, more=more)


def _write_folder(training: Training, final: Path, *, with_replay: bool, more: Mapping[str, Any]) -> None:
    aside = final.with_suffix(".tmp")
    safetensors_error = require("safetensors", "train").SafetensorError
    try:
        _remove(aside)
        aside.mkdir(parents=True)
        _write_files(training, aside, with_replay, more)
        _replace(aside, final)
    except (OSError, SnapshotError, safetensors_error) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise CheckpointError(
            f"{final}: could not be written ({_reason(error)}){_survivor(final.parent)}"
        ) from error


def latest(folder: Path) -> Path:
    """The checkpoint of the run in `folder`; raises CheckpointError when it has none."""
    found = sorted(_checkpoints(folder), key=step_of)
    if not found:
        raise CheckpointError(f"{folder}: no checkpoint in this folder")
    return found[-1]


def best(folder: Path) -> Path:
    """The best snapshot of the run in `folder`; raises CheckpointError when none was kept."""
    found = find_best(folder)
    if found is None:
        raise CheckpointError(f"{folder}: no best snapshot in this folder; --best-episodes keeps one")
    return found


def find_best(folder: Path) -> Path | None:
    """The best snapshot, if there is one: the old one, aside, where a kill came before the new one's name."""
    final = folder / BEST
    return next((path for path in (final, _old(final)) if path.is_dir()), None)


def best_state(folder: Path) -> dict[str, Any]:
    """state.json of the best snapshot; its "evaluation" says what it scored when it was chosen."""
    return _read_state(best(folder))


def step_of(checkpoint: Path) -> int:
    """The step in a checkpoint's name."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def restore(training: Training, checkpoint: Path) -> None:
    """Puts `training`, freshly built from the same configuration, where the saved run was.

    Raises CheckpointError naming the file and the reason when anything is missing, corrupt, foreign or of
    another network; the fresh `training` is then of no further use.
    """
    state = _read_state(checkpoint)
    _check_digest(checkpoint / REPLAY, state)
    _restore_agent(training.agent, checkpoint, state)
    try:
        buffer = mujigae.load(
            checkpoint / REPLAY,
            device=training.config.device,
            frames_on_device=training.config.frames_on_device,
        )
    except (OSError, SnapshotError, ValueError) as error:
        raise CheckpointError(f"{checkpoint / REPLAY}: {_reason(error)}") from error
    _check_same_replay(buffer, training.buffer, checkpoint / REPLAY)
    training.buffer = buffer
    training.counters = _counters(checkpoint / STATE, state)


def restore_agent(agent: Any, checkpoint: Path) -> int:
    """Gives `agent` the saved weights without touching the replay; returns the checkpoint's step."""
    state = _read_state(checkpoint)
    _restore_agent(agent, checkpoint, state)
    return _counters(checkpoint / STATE, state).steps


def _write_files(training: Training, aside: Path, with_replay: bool, more: Mapping[str, Any]) -> None:
    to_bytes = require("safetensors.torch", "train").save
    _write(aside / AGENT, to_bytes(training.agent.tensors(), metadata={"format": FORMAT}))
    if with_replay:
        training.buffer.save(aside / REPLAY)
    counters = asdict(training.counters) | {"recent_scores": list(training.counters.recent_scores)}
    state = {
        "format": FORMAT,
        "version": VERSION,
        "counters": counters,
        "agent": training.agent.state(),
        "sha256": {path.name: _sha256(path) for path in sorted(aside.iterdir())},
        **more,
    }
    text = json.dumps(state | {"sha256_of_state": _digest_of_state(state)}, indent=2)
    _write(aside / STATE, text.encode() + b"\n")
    _sync_folder(aside)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(aside: Path, final: Path) -> None:
    """Renames; an old folder of the same name goes aside first, since it cannot be renamed onto."""
    old = _old(final)
    if final.exists():
        _remove(old)
        final.rename(old)
    aside.rename(final)
    _sync_folder(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _old(final: Path) -> Path:
    return final.with_suffix(".old")


def _delete_others(folder: Path, keep: Path) -> None:
    for path in folder.glob("checkpoint-*"):
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _checkpoints(folder: Path) -> list[Path]:
    names = folder.glob("checkpoint-*")
    return [path for path in names if path.name.removeprefix("checkpoint-").isdecimal() and path.is_dir()]


def _survivor(folder: Path) -> str:
    found = sorted(_checkpoints(folder), key=step_of)
    return f"; the previous one, {found[-1].name}, is intact" if found else "; there is no earlier one"


def _read_state(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / STATE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: {_reason(error)}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a {FORMAT}")
    if state.get("version") != VERSION:
        raise CheckpointError(f"{path}: expected format version {VERSION}, got {state.get('version')!r}")
    if state.pop("sha256_of_state", None) != _digest_of_state(state):
        raise CheckpointError(f"{path}: its checksum does not match, the file is corrupt")
    return state


def _restore_agent(agent: Any, checkpoint: Path, state: Mapping[str, Any]) -> None:
    path = checkpoint / AGENT
    _check_digest(path, state)
    try:
        tensors = require("safetensors.torch", "train").load(path.read_bytes())
        agent.restore(tensors, state["agent"])
    except (OSError, ValueError, KeyError, require("safetensors", "train").SafetensorError) as error:
        raise CheckpointError(f"{path}: {_reason(error)}") from error


def _counters(path: Path, state: Mapping[str, Any]) -> Counters:
    try:
        counters = Counters(**state["counters"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: {_reason(error)}") from error
    counters.recent_scores = deque(counters.recent_scores, maxlen=NUM_STOP_GAMES)
    return counters


def _check_same_replay(buffer: Any, expected: Any, path: Path) -> None:
    """The saved buffer has to be the kind and size that the configuration makes."""
    names = ("capacity", "num_envs", "n_step", "gamma")
    for what, got, wanted in (
        ("a", type(buffer).__name__, type(expected).__name__),
        *((name, getattr(buffer, name), getattr(expected, name)) for name in names),
    ):
        if got != wanted:
            raise CheckpointError(f"{path}: expected {what} {wanted}, got {got}")


def _check_digest(path: Path, state: Mapping[str, Any]) -> None:
    try:
        digest = _sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: {_reason(error)}") from error
    if digest != state["sha256"].get(path.name):
        raise CheckpointError(
            f"{path}: its checksum does not match state.json, the file is corrupt or foreign"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_state(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _reason(error: BaseException) -> str:
    """The system's words for an OSError, else the first line of the message."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return words.splitlines()[0] if words else type(error).__name__
