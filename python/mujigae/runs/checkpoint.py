"""Checkpoints: a folder `checkpoint-<step>` with everything that a run needs to continue exactly.

    agent.safetensors   networks, the optimizer's state, the noise generator
    state.json          format, counters, NumPy's generator, sha256 of the other files and of itself
    environments.safetensors    where wrappers keep statistics over their resets (see `mujigae.envs.statistics`)
    replay.mujigae      the replay buffer, in the engine's own format

`best` is such a folder without the replay, of the network that scored most in evaluation. In a folder that was pushed to be played,
policy.safetensors, what acting needs, may be in the place of agent.safetensors.

No pickle. A checkpoint is written aside, synced and renamed, and only then are the older ones deleted:
whatever goes wrong while saving, the one before is still there. Loading checks every byte before anything
is believed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujigae
from mujigae.envs.environment import Environment
from mujigae.errors import CheckpointError, SnapshotError, require
from mujigae.runs import own_folders
from mujigae.runs.own_folders import AGENT, BEST, ENVIRONMENTS, POLICY, REPLAY, STATE, step_of
from mujigae.runs.reading import open_regular, read_json, reason_of
from mujigae.training.counters import Counters
from mujigae.training.loop import Training

__all__ = [
    "BEST",
    "FORMAT",
    "REPLAY",
    "STATE",
    "VERSION",
    "best",
    "best_state",
    "find_best",
    "keep_policy",
    "latest",
    "restore",
    "restore_agent",
    "restore_environment",
    "save",
    "save_agent",
    "step_of",
    "verify",
]

FORMAT = "mujigae checkpoint"
VERSION = 2

# What restoring raises for a state.json with right checksums that we have not written.
_NOT_AS_WRITTEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def save(training: Training, folder: Path, more: Mapping[str, Any] | None = None) -> Path:
    """Writes `folder/checkpoint-<step>`, with `more` in its state.json, and deletes older ones; changes nothing else.

    Raises CheckpointError when it cannot be written (a full disk); the previous checkpoint is untouched.
    """
    final = folder / f"checkpoint-{training.counters.steps}"
    _write_folder(training, final, with_replay=True, more=more or {})
    own_folders.delete_others(folder, keep=final)
    return final


def save_agent(training: Training, final: Path, more: Mapping[str, Any]) -> None:
    """Writes the agent without its replay, and `more` into its state.json; otherwise as `save`."""
    _write_folder(training, final, with_replay=False, more=more)


def _write_folder(training: Training, final: Path, *, with_replay: bool, more: Mapping[str, Any]) -> None:
    safetensors = require("safetensors", "train")
    try:
        aside = own_folders.aside_of(final)
        _write_files(training, aside, with_replay, more)
        own_folders.put(aside, final)
    except (OSError, SnapshotError, CheckpointError, safetensors.SafetensorError) as error:
        own_folders.delete(final.with_name(f"{final.name}.tmp"))
        raise CheckpointError(
            f"{final}: could not be written ({reason_of(error)}){_survivor(final.parent)}"
        ) from error


def latest(folder: Path) -> Path:
    """The checkpoint of the run in `folder`; raises CheckpointError when it has none."""
    found = own_folders.checkpoints(folder)
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
    """The best snapshot, if there is one."""
    return own_folders.find(folder / BEST)


def best_state(folder: Path) -> dict[str, Any]:
    """state.json of the best snapshot; its "evaluation" says what it scored when it was chosen."""
    return _read_state(best(folder))


def restore(training: Training, checkpoint: Path) -> None:
    """Puts `training`, freshly built from the same configuration, where the saved run was.

    Raises CheckpointError naming the file and the reason when anything is missing, corrupt, foreign or of
    another network; the fresh `training` is then of no further use.
    """
    state = _read_state(checkpoint)
    _check_digest(checkpoint / REPLAY, state)
    _restore_agent(training.agent, checkpoint, state)
    _restore_environment(training.environment, checkpoint, state, freeze=False)
    if training.workers is None:  # else what is there is only a list of their files
        training.buffer = _restored_replay(training, checkpoint / REPLAY)
    training.counters = _counters(checkpoint / STATE, state)


def restore_agent(agent: Any, checkpoint: Path) -> int:
    """Gives `agent` the saved weights without touching the replay; returns the checkpoint's step."""
    state = _read_state(checkpoint)
    _restore_agent(agent, checkpoint, state)
    return _counters(checkpoint / STATE, state).steps


def verify(checkpoint: Path) -> int:
    """Raises CheckpointError unless state.json and the files that evaluation needs are as they were written; returns the step."""
    state = _read_state(checkpoint)
    _check_digest(checkpoint / _network(state), state)
    if ENVIRONMENTS in (state.get("sha256") or {}):
        _check_digest(checkpoint / ENVIRONMENTS, state)
    return _counters(checkpoint / STATE, state).steps


def keep_policy(agent: Any, checkpoint: Path) -> None:
    """Replaces the agent in `checkpoint`, which is `agent`'s, by its policy alone: it can be played then, not trained on."""
    state = _read_state(checkpoint)
    if _network(state) == POLICY:
        return
    torch_tensors = require("safetensors.torch", "train")
    _write(checkpoint / POLICY, torch_tensors.save(dict(agent.policy()), metadata={"format": FORMAT}))
    digests = {name: digest for name, digest in state["sha256"].items() if name != AGENT}
    (checkpoint / STATE).unlink()
    _write_state(checkpoint, {**state, "sha256": digests | {POLICY: _sha256(checkpoint / POLICY)}})
    (checkpoint / AGENT).unlink()


def restore_environment(environment: Environment, checkpoint: Path) -> None:
    """Gives an environment that evaluates the saved statistics of those that trained, which then stay as they are."""
    _restore_environment(environment, checkpoint, _read_state(checkpoint), freeze=True)


def _write_files(training: Training, aside: Path, with_replay: bool, more: Mapping[str, Any]) -> None:
    torch_tensors = require("safetensors.torch", "train")
    _write(aside / AGENT, torch_tensors.save(training.agent.tensors(), metadata={"format": FORMAT}))
    if kept := training.environment.state():
        _write(aside / ENVIRONMENTS, require("safetensors.numpy", "train").save(kept))
    if with_replay:
        training.buffer.save(aside / REPLAY)
    state = {
        "format": FORMAT,
        "version": VERSION,
        "counters": training.counters.to_json(),
        "agent": training.agent.state(),
        "sha256": {path.name: _sha256(path) for path in sorted(aside.iterdir())},
        **more,
    }
    _write_state(aside, state)


def _write_state(folder: Path, state: Mapping[str, Any]) -> None:
    text = json.dumps({**state, "sha256_of_state": _digest_of_state(state)}, indent=2)
    _write(folder / STATE, text.encode() + b"\n")


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _survivor(folder: Path) -> str:
    found = own_folders.checkpoints(folder)
    return f"; the previous one, {found[-1].name}, is intact" if found else "; there is no earlier one"


def _read_state(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / STATE
    state = read_json(path, CheckpointError, not_an_object=f"not a {FORMAT}")
    if state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a {FORMAT}")
    if state.get("version") != VERSION:
        raise CheckpointError(f"{path}: expected format version {VERSION}, got {state.get('version')!r:.40}")
    if state.pop("sha256_of_state", None) != _digest_of_state(state):
        raise CheckpointError(f"{path}: its checksum does not match, the file is corrupt")
    return state


def _network(state: Mapping[str, Any]) -> str:
    """The name of the file with the network."""
    digests = state.get("sha256")
    return POLICY if isinstance(digests, dict) and POLICY in digests and AGENT not in digests else AGENT


def _restore_agent(agent: Any, checkpoint: Path, state: Mapping[str, Any]) -> None:
    path = checkpoint / _network(state)
    _check_digest(path, state)
    safetensors, torch_tensors = require("safetensors", "train"), require("safetensors.torch", "train")
    try:
        tensors = torch_tensors.load(path.read_bytes())
        if path.name == POLICY:
            agent.take_policy(tensors)
        else:
            agent.restore(tensors, state["agent"])
    except (OSError, *_NOT_AS_WRITTEN, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: {reason_of(error)}") from error


def _restore_environment(
    environment: Environment, checkpoint: Path, state: Mapping[str, Any], *, freeze: bool
) -> None:
    path = checkpoint / ENVIRONMENTS
    safetensors, arrays = require("safetensors", "train"), require("safetensors.numpy", "train")
    kept: Mapping[str, Any] = {}
    is_saved = path.name in (state.get("sha256") or {})
    if is_saved:
        _check_digest(path, state)
    try:
        kept = arrays.load(path.read_bytes()) if is_saved else {}
        environment.restore(kept, freeze=freeze)
    except (OSError, *_NOT_AS_WRITTEN, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: {reason_of(error)}") from error


def _restored_replay(training: Training, path: Path) -> Any:
    hardware = training.config.hardware
    try:
        buffer = mujigae.load(path, device=hardware.device, frames_on_device=hardware.frames_on_device)
    except (OSError, SnapshotError, ValueError) as error:
        raise CheckpointError(f"{path}: {reason_of(error)}") from error
    _check_same_replay(buffer, training.buffer, path)
    return buffer


def _counters(path: Path, state: Mapping[str, Any]) -> Counters:
    try:
        return Counters.from_json(state["counters"])
    except _NOT_AS_WRITTEN as error:
        raise CheckpointError(f"{path}: the counters are not valid: {reason_of(error)}") from error


def _check_same_replay(buffer: Any, expected: Any, path: Path) -> None:
    """The saved buffer has to be the kind and size that the configuration makes."""
    names = ("capacity", "num_envs", "n_step", "gamma")
    for what, got, wanted in (
        ("the sampler", buffer.sampler.name, expected.sampler.name),
        *((name, getattr(buffer, name), getattr(expected, name)) for name in names),
    ):
        if got != wanted:
            raise CheckpointError(f"{path}: expected {what} {wanted}, got {got}")


def _check_digest(path: Path, state: Mapping[str, Any]) -> None:
    digests = state.get("sha256")
    try:
        digest = _sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: {reason_of(error)}") from error
    if not isinstance(digests, dict) or digest != digests.get(path.name):
        raise CheckpointError(
            f"{path}: its checksum does not match state.json, the file is corrupt or foreign"
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _digest_of_state(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
