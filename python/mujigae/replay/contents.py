"""What a saved buffer holds, in numbers: read without changing its file, with NumPy alone.

buffer = open_unchanged(path)
contents = contents_of(buffer, path)     a dict of plain values, as `mujigae replay --json` prints it
lines(contents)                          the same for a terminal
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mujigae import _core
from mujigae.errors import MujigaeError, SnapshotError
from mujigae.replay.batch import Episode
from mujigae.replay.buffer import ReplayBuffer
from mujigae.replay.samplers import PrioritySampler, Proportional
from mujigae.replay.saving import load
from mujigae.replay.spaces import ArraySpec

__all__ = ["contents_of", "lines", "open_unchanged"]

_VERSION_AT = 8  # bytes into a file of ours; before it stands its name


def open_unchanged(path: Path) -> ReplayBuffer:
    """The buffer that `path` holds, a snapshot or the file of a buffer with `path=`; what changes in it stays in memory.

    Raises SnapshotError for a file that is damaged or foreign, MujigaeError for one that cannot be read or is in use.
    """
    try:
        if not path.is_file():  # a pipe would wait for a writer
            path.stat()
            raise SnapshotError(f"{path}: not a regular file")
        return load(path, copy_on_write=True)
    except BlockingIOError as error:
        raise MujigaeError(
            f"{path}: in use by a process that may write to it; a snapshot (buffer.save) can be looked at meanwhile"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MujigaeError(f"{path}: cannot be read ({reason})") from error
    except MemoryError as error:
        raise MujigaeError(f"{path}: holds more than fits into memory") from error


def _bytes_on_disk(status: os.stat_result) -> int:
    """Those of a file with holes are fewer than its size; where the system does not say, its size."""
    num_blocks = getattr(status, "st_blocks", None)  # Windows has none
    return status.st_size if num_blocks is None else int(num_blocks) * 512


def contents_of(buffer: ReplayBuffer, path: Path) -> dict[str, Any]:
    """Everything below as plain numbers, strings, lists and dicts; `path` is the file that the buffer was read from."""
    spec, status = buffer._spec, path.stat()
    episodes = list(buffer.episodes(with_obs=False))
    return {
        "file": str(path),
        "kind": "buffer file" if _core.Snapshot(os.fsencode(path)).is_file_backed else "snapshot",
        "format_version": _version(path),
        "bytes_on_disk": _bytes_on_disk(status),
        "bytes_held": buffer.nbytes,
        "rows": len(buffer),
        "rows_held": sum(len(episode.reward) for episode in episodes),
        "capacity": buffer.capacity,
        "num_envs": buffer.num_envs,
        "n_step": buffer.n_step,
        "gamma": buffer.gamma,
        "compress": spec.compress,
        "observations": {one.name: _array(one) for one in spec.obs.specs},
        "action": _array(spec.action),
        "extras": {one.name: _array(one) for one in spec.extras},
        "sampler": {"name": buffer.sampler.name, **buffer.sampler.settings()},
        "priorities": _priorities(buffer, episodes),
        "episodes": _episodes(episodes),
        "num_silent_boundaries": buffer.num_silent_boundaries,
    }


def lines(contents: Mapping[str, Any]) -> Iterator[str]:
    """The contents for a person: one line a fact, in characters that a terminal prints."""
    for name, text in _facts(contents):
        shown = f"{name:<13}{text}" if name else text
        yield shown if shown.isprintable() else shown.encode("unicode_escape").decode()


def _facts(contents: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    get = contents.__getitem__
    yield "", f"{get('file')}: {get('kind')}, format version {get('format_version')}"
    environments = f"{get('num_envs')} environment{'s' * (get('num_envs') > 1)}"
    yield (
        "rows",
        f"{get('rows'):,} of {get('capacity'):,} can be drawn, {get('rows_held'):,} held; {environments}",
    )
    yield from _episode_facts(get("episodes"), get("num_silent_boundaries"))
    for name, array in get("observations").items():
        yield "observation", _array_in_words(name if len(get("observations")) > 1 else "", array)
    yield "action", _array_in_words("", get("action"))
    for name, array in get("extras").items():
        yield "extra", _array_in_words(name, array)
    settings = [f"{name} {value}" for name, value in get("sampler").items() if name != "name"]
    yield "sampler", f"{get('sampler')['name']}: {', '.join(settings)}"
    yield from _priority_facts(get("priorities"), get("rows"))
    yield "n-step", f"{get('n_step')}, gamma {get('gamma'):g}"
    frames = ", frames compressed" if get("compress") else ""
    where = "in memory and its file" if get("kind") == "buffer file" else "in memory"
    yield "bytes", f"{get('bytes_held'):,} {where}, {get('bytes_on_disk'):,} on disk{frames}"


def _episode_facts(episodes: Mapping[str, Any], num_silent: int) -> Iterator[tuple[str, str]]:
    silent = f"; {num_silent:,} begun without an end of the one before" if num_silent else ""
    yield "episodes", f"{episodes['ended']:,} ended, {episodes['open']:,} open{silent}"
    for name in ("length", "return"):
        if (found := episodes[name]) is not None:
            yield f"  {name}", f"min {found['min']:g}, mean {found['mean']:.6g}, max {found['max']:g}"


def _priority_facts(priorities: Mapping[str, Any] | None, num_rows: int) -> Iterator[tuple[str, str]]:
    if priorities is None:
        return
    spread = f"min {priorities['min']:.4g}, median {priorities['median']:.4g}, max {priorities['max']:.4g}"
    share = priorities["share_of_largest"]
    if share is not None:
        spread += f"; a row of the largest is drawn with probability {share:.3g} ({share * num_rows:.3g} times an even share)"
    yield "priorities", spread


def _version(path: Path) -> int:
    with path.open("rb") as file:
        return int(struct.unpack_from("<I", file.read(_VERSION_AT + 4), _VERSION_AT)[0])


def _array(spec: ArraySpec) -> dict[str, Any]:
    return {"dtype": spec.dtype.name, "shape": list(spec.shape), "frame_stack": spec.stack}


def _array_in_words(name: str, array: Mapping[str, Any]) -> str:
    stack = f", a stack of {array['frame_stack']} frames" if array["frame_stack"] > 1 else ""
    return f"{name} {array['dtype']} {array['shape']}{stack}".strip()


def _episodes(episodes: Iterable[Episode]) -> dict[str, Any]:
    """Lengths and returns are those of ended episodes, as far as their rows are held."""
    ended = [episode for episode in episodes if not episode.is_open]
    return {
        "ended": len(ended),
        "open": sum(episode.is_open for episode in episodes),
        "length": _spread([len(episode.reward) for episode in ended]),
        "return": _spread([float(episode.reward.sum()) for episode in ended]),
    }


def _spread(values: list[Any]) -> dict[str, Any] | None:
    """None where there are no values."""
    if not values:
        return None
    return {"min": min(values), "mean": float(np.mean(values)), "max": max(values)}


def _priorities(buffer: ReplayBuffer, episodes: Iterable[Episode]) -> dict[str, Any] | None:
    """Of the rows that can be drawn; None where there are none, or the sampler has no priorities."""
    if not isinstance(buffer.sampler, PrioritySampler) or len(buffer) == 0:
        return None
    # Behind the newest rows of an open episode its n-step window is not complete.
    waiting = buffer.n_step - 1
    keys = [
        one.key[: len(one.key) - waiting * one.is_open]
        for one in episodes
        if len(one.key) > waiting * one.is_open
    ]
    priorities = buffer.priorities(np.concatenate(keys))
    return {
        "min": float(priorities.min()),
        "median": float(np.median(priorities)),
        "max": float(priorities.max()),
        "share_of_largest": _share_of_largest(buffer.sampler, priorities),
    }


def _share_of_largest(sampler: PrioritySampler, priorities: NDArray[np.float64]) -> float | None:
    """P(i) of a row with the largest priority; None where nothing can be drawn."""
    if isinstance(sampler, Proportional):
        masses = _core.power(priorities + sampler.eps, sampler.alpha)
        even = sampler.uniform_share / len(priorities)
        total = float(masses.sum())
        return (1 - sampler.uniform_share) * float(masses.max()) / total + even if total > 0 else None
    ranks = np.arange(1.0, len(priorities) + 1)
    return 1 / float((ranks**-sampler.alpha).sum())
