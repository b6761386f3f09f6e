"""Pictures out of a machine's speed.json. Each carries the checksum of the numbers it was drawn from."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.speed_results import FLOORS, NOT_OURS, OURS, Results

COLOURS = {
    "mujigae": "#d6336c",
    "mujigae, compress=True": "#ae3ec9",
    "mujigae, prefetch=2": "#f76707",
    "mujigae, compress=True, prefetch=2": "#7048e8",
    "torchrl": "#868e96",
    "tianshou": "#4c6ef5",
    "cpprb": "#12b886",
    "Stable-Baselines3 (uniform)": "#15aabf",
    "sumtree (Rust)": "#a0522d",
    "flashbax (uniform)": "#fab005",
    "rlox (Rust)": "#74b816",
    "NumPy cumsum": "#ced4da",
    "floor, 1 thread": "#212529",
    "floor, 2 threads": "#495057",
}
LEAD: dict[str, tuple[str, str, int]] = {
    "draw 256 of 2^20\n(sum tree)": ("tree 2^20", "draw", 256),
    "update 256 of 2^20\n(sum tree)": ("tree 2^20", "update", 256),
    "Atari cycle\nbatch of 32": ("atari", "cycle", 32),
    "Atari cycle\nbatch of 256": ("atari", "cycle", 256),
    "17 floats, 1M rows\nbatch of 256": ("vector", "cycle", 256),
}
CAPACITIES = {"tree 10^4": 10**4, "tree 10^5": 10**5, "tree 2^20": 2**20, "tree 10^7": 10**7}
BATCH_SIZES = (32, 128, 256, 512, 2048)


def lead(results: Results, axes: Any) -> None:
    """Each library's time in units of ours."""
    names = [
        name for name in ("mujigae", *NOT_OURS) if any(_seconds(results, name, *key) for key in LEAD.values())
    ]
    for i, name in enumerate(names):
        for place, key in enumerate(LEAD.values()):
            own, seconds = _seconds(results, "mujigae", *key), _seconds(results, name, *key)
            if own and seconds and not (name.startswith("NumPy") and key[1] == "update"):
                at, times = place + (i - (len(names) - 1) / 2) * 0.8 / len(names), seconds / own
                axes.bar(at, times, 0.8 / len(names), color=COLOURS[name])
                axes.text(at, times, f"{times:.3g}", ha="center", va="bottom", fontsize=7)
    axes.set_yscale("log")
    axes.set_xlim(-0.5, len(LEAD) - 0.5)
    axes.set_ylabel("time, mujigae = 1")
    axes.set_xticks(range(len(LEAD)), list(LEAD))
    handles = [_patch(name) for name in names]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=len(names), fontsize=8)


def capacity(results: Results, axes: Any) -> None:
    """Draws a second against the number of leaves."""
    for name in ("mujigae", *NOT_OURS):
        points = [
            (n, 256 / s)
            for group, n in CAPACITIES.items()
            if (s := _seconds(results, name, group, "draw", 256))
        ]
        _line(axes, name, points)
    axes.set_xlabel("leaves of the sum tree")
    axes.set_ylabel("prioritized draws a second, batches of 256")
    _logarithmic(axes)


def batch(results: Results, axes: Any) -> None:
    """Transitions a second against the batch size."""
    for name in (*OURS, *NOT_OURS, *FLOORS):
        points = [(b, b / s) for b in BATCH_SIZES if (s := _seconds(results, name, "atari", "cycle", b))]
        _line(axes, name, points, style="--" if name in FLOORS else "-")
    axes.set_xlabel("batch size")
    axes.set_ylabel("Atari transitions a second, drawn, gathered and updated")
    _logarithmic(axes)


def memory(results: Results, axes: Any) -> None:
    """Bytes of a transition."""
    found = {}
    for name in (OURS[1], OURS[0], *NOT_OURS):
        each = [results.bytes_each(subject) for subject in NOT_OURS.get(name, (name,))]
        if any(each):
            found[name] = min(bytes_ for bytes_ in each if bytes_)
    bars = axes.barh(list(found), list(found.values()), color=[COLOURS[name] for name in found])
    axes.bar_label(bars, [f"{bytes_:,.0f}" for bytes_ in found.values()], padding=3)
    axes.set_xscale("log")
    axes.set_xlim(right=max(found.values(), default=1) * 3)
    axes.set_xlabel("bytes of an Atari transition, resident")


def efficiency(results: Results, axes: Any) -> None:
    """The floor's share of a cycle, with as many threads as are faster."""
    for name in (*OURS, *NOT_OURS):
        points = []
        for size in BATCH_SIZES:
            floors = [s for floor in FLOORS if (s := _seconds(results, floor, "atari", "cycle", size))]
            seconds = _seconds(results, name, "atari", "cycle", size)
            if floors and seconds:
                points.append((size, min(floors) / seconds))
        _line(axes, name, points)
    axes.axhline(1, color="black", linestyle="--", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("batch size")
    axes.set_ylabel("share of the floor (the copies alone, one or two threads)")
    _legend(axes)


PICTURES: dict[str, tuple[Callable[[Results, Any], None], tuple[float, float]]] = {
    "speed.png": (lead, (11, 4.5)),
    "capacity.png": (capacity, (8.5, 4.5)),
    "batch.png": (batch, (8.5, 4.5)),
    "memory.png": (memory, (7, 3.5)),
    "efficiency.png": (efficiency, (8.5, 4.5)),
}


ALTERNATIVES = {
    "capacity.png": "Prioritized draws a second against the number of leaves",
    "batch.png": "Atari transitions a second against the batch size",
    "efficiency.png": "Share of the memory's limit against the batch size",
    "memory.png": "Bytes of an Atari transition",
}


def draw(results: Results) -> None:
    """Writes every picture beside the JSON."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    for name, (picture, size) in PICTURES.items():
        figure, axes = pyplot.subplots(figsize=size, layout="constrained")
        picture(results, axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.grid(alpha=0.25)
        metadata = {"Software": None, "Source": checksum(results)}
        figure.savefig(results.path.with_name(name), dpi=110, metadata=metadata)
        pyplot.close(figure)


def are_current(results: Results) -> bool:
    """Whether every picture was drawn from these numbers."""
    paths = [results.path.with_name(name) for name in PICTURES]
    return all(path.exists() and source_of(path) == checksum(results) for path in paths)


def checksum(results: Results) -> str:
    return hashlib.sha256(results.text.encode()).hexdigest()


def source_of(path: Path) -> str | None:
    """The text "Source" of a PNG file."""
    data = path.read_bytes()
    at = 8  # after the signature: length, kind, content and checksum of each chunk
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"tEXt" and content.startswith(b"Source\0"):
            return content.removeprefix(b"Source\0").decode("latin-1")
        at += 12 + length
    return None


def _seconds(results: Results, name: str, group: str, operation: str, batch_size: int) -> float | None:
    find = results.library if name in NOT_OURS else results.seconds
    return find(group, operation, batch_size, name)


def _line(axes: Any, name: str, points: Sequence[tuple[float, float]], style: str = "-") -> None:
    if points:
        width = 2.5 if name == "mujigae" else 1.5
        axes.plot(
            *zip(*points, strict=True),
            style,
            marker="o",
            markersize=3,
            color=COLOURS[name],
            label=name,
            linewidth=width,
        )


def _logarithmic(axes: Any) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    _legend(axes)


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False
        )  # lines go everywhere


def _patch(name: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=COLOURS[name], label=name)
