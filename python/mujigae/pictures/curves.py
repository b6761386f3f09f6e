"""Learning curves: the return of every finished game, against agent steps and against minutes.

Reads what training leaves in a run folder (`config.json`, `episodes.csv`) and draws one PNG.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mujigae.config.saved import flat_values
from mujigae.errors import ConfigError, require
from mujigae.pictures.figures import COLOURS, INK, QUIET, check_png, dress, new_figure, save, shorten_steps
from mujigae.pictures.published import draw_published
from mujigae.runs.reading import read_json, read_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Games", "plot", "read_games", "running_mean"]

SHORT_WINDOW, LONG_WINDOW = 20, 100  # games; the same windows as in progress.csv
_COLUMNS = ("step", "seconds", "score")
_LARGEST = 1e100  # sums and axes of larger numbers overflow
_DASHES = ("solid", "dashed", "dotted", "dashdot")
_DOT: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4, "markeredgewidth": 0}
_THIN: dict[str, Any] = {"linewidth": 1.2, "alpha": 0.7}
_THICK: dict[str, Any] = {"linewidth": 2.8}


class Games(NamedTuple):
    """The finished games of one run, in the order in which they ended; G games."""

    name: str
    config: dict[str, Any]
    step: NDArray[np.float64]  # [G] agent decisions over all environments
    minutes: NDArray[np.float64]  # [G] wall clock
    score: NDArray[np.float64]  # [G] raw undiscounted return


def plot(run_folders: Sequence[Path], out: Path) -> Path:
    """Draws the learning curves of one or several runs into the PNG `out` and returns its path.

    Left panel: return against agent steps; right panel: against minutes. Every finished game is a faint dot;
    the lines are the means of the last 20 and of the last 100 games, and begin when there are that many.

    Raises ConfigError for a folder that is not a run, a malformed file, or a run without finished games.
    """
    if len(run_folders) == 0:
        raise ConfigError("run_folders: expected at least one run folder, got none")
    out = check_png(Path(out))
    runs = [read_games(Path(folder)) for folder in run_folders]
    return save(_draw(runs, _labels(runs, [Path(folder) for folder in run_folders])), out)


def running_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Means of each `window` consecutive values: [G] -> [max(G - window + 1, 0)]."""
    if len(values) < window:
        return np.empty(0)
    sums = np.cumsum(np.concatenate(([0.0], values)))
    return np.asarray((sums[window:] - sums[:-window]) / window)


def read_games(folder: Path) -> Games:
    """Reads one run folder; raises ConfigError that names the file and, for a bad row, its line number."""
    path = folder / "episodes.csv"
    config = _read_config(folder / "config.json")
    table = _parse(path)
    if len(table) == 0:
        raise ConfigError(f"{path}: no finished episode yet, so there is nothing to plot")
    table = table[np.argsort(table[:, 0], kind="stable")]
    name = folder.resolve().name
    return Games(name, config, step=table[:, 0], minutes=table[:, 1] / 60.0, score=table[:, 2])


def _read_config(path: Path) -> dict[str, Any]:
    if not os.path.exists(path):
        raise ConfigError(f"{path.parent}: not a run folder, it has no {path.name}")
    return flat_values(read_json(path))


def _parse(path: Path) -> NDArray[np.float64]:
    """The columns step, seconds, score as [G, 3]."""
    if not os.path.exists(path):
        raise ConfigError(f"{path.parent}: not a run folder, it has no {path.name}")
    rows = read_table(path)
    _, header = next(rows, (1, []))
    missing = [column for column in _COLUMNS if column not in header]
    if missing:
        raise ConfigError(
            f"{path}: expected the columns {', '.join(_COLUMNS)}; missing: {', '.join(missing)}"
        )
    places = [header.index(column) for column in _COLUMNS]
    parsed = [_parse_row(f"{path}, line {number}", row, len(header), places) for number, row in rows]
    return np.array(parsed, dtype=np.float64).reshape(-1, len(_COLUMNS))


def _parse_row(where: str, row: list[str], num_columns: int, places: list[int]) -> list[float]:
    if len(row) != num_columns:
        raise ConfigError(f"{where}: expected {num_columns} values, got {len(row)}")
    try:
        numbers = [float(row[place]) for place in places]
    except ValueError:
        raise ConfigError(
            f"{where}: expected numbers, got {', '.join(row[place][:40] for place in places)}"
        ) from None
    if not all(abs(number) <= _LARGEST for number in numbers):
        raise ConfigError(f"{where}: expected finite numbers up to {_LARGEST:g}, got {numbers}")
    return numbers


def _labels(runs: list[Games], folders: list[Path]) -> list[str]:
    """Run names; where two runs share one, the parent folder tells them apart."""
    names = [run.name for run in runs]
    return [
        run.name if names.count(run.name) == 1 else f"{folder.resolve().parent.name}/{run.name}"
        for run, folder in zip(runs, folders, strict=True)
    ]


def _draw(runs: list[Games], labels: list[str]) -> Figure:
    figure = new_figure(12, 5.4)
    by_steps, by_minutes = figure.subplots(1, 2, sharey=True)
    num_games = sum(len(run.score) for run in runs)
    for run, (colour, dashes) in zip(runs, _looks(len(runs)), strict=True):
        for axes, x in ((by_steps, run.step), (by_minutes, run.minutes)):
            _draw_games(axes, x, run.score, colour, num_games)
            _draw_mean(axes, x, run.score, SHORT_WINDOW, color=colour, linestyle=dashes, zorder=3, **_THIN)
            _draw_mean(axes, x, run.score, LONG_WINDOW, color=colour, linestyle=dashes, zorder=4, **_THICK)
    for axes, x_label in ((by_steps, "agent steps"), (by_minutes, "minutes")):
        dress(axes, x_label)
        axes.set_xlim(left=0.0)
    draw_published(by_steps, [run.config for run in runs], max(float(run.step[-1]) for run in runs))
    shorten_steps(by_steps)
    by_steps.set_ylabel("return of a game", fontsize=12, color=INK)
    figure.suptitle(_title(runs), fontsize=15, color=INK, parse_math=False)
    _add_legend(figure, labels)
    return figure


def _looks(num_runs: int) -> list[tuple[str, str]]:
    """A colour and a dash pattern for each run; the pattern changes when the colours come round again."""
    return [(COLOURS[i % len(COLOURS)], _DASHES[i // len(COLOURS) % len(_DASHES)]) for i in range(num_runs)]


def _draw_games(
    axes: Axes, x: NDArray[np.float64], score: NDArray[np.float64], colour: str, num_games: int
) -> None:
    # Thousands of faint dots still show where they crowd; ten need to be seen one by one.
    alpha = float(np.clip(6.0 / np.sqrt(num_games), 0.1, 0.6))
    axes.plot(x, score, color=colour, alpha=alpha, zorder=2, **_DOT)


def _draw_mean(
    axes: Axes, x: NDArray[np.float64], score: NDArray[np.float64], window: int, **look: Any
) -> None:
    mean = running_mean(score, window)
    axes.plot(x[len(x) - len(mean) :], mean, **look)


def _title(runs: list[Games]) -> str:
    """What the runs have in common: environment, then preset, then seed, each where all runs agree."""
    parts: list[str] = []
    for field, prefix in (("env_id", ""), ("preset", ""), ("seed", "seed ")):
        values = {str(run.config[field]) for run in runs if run.config.get(field) is not None}
        if len(values) == 1:
            parts.append(prefix + values.pop())
        elif field == "env_id" and values:
            parts.append(f"{len(values)} environments")
    return " · ".join(parts) or "learning curves"


def _add_legend(figure: Figure, labels: list[str]) -> None:
    """Names of the runs, then what dots and lines mean, below the panels, where it covers no data."""
    lines = require("matplotlib.lines", "train")
    line = lines.Line2D
    runs = [line([], [], color=colour, linestyle=dashes, **_THICK) for colour, dashes in _looks(len(labels))]
    key = [line([], [], color=QUIET, **look) for look in (_DOT | {"alpha": 0.6}, _THIN, _THICK)]
    meaning = ["one game", f"mean of {SHORT_WINDOW} games", f"mean of {LONG_WINDOW} games"]
    num_rows = 1 if len(labels) == 1 else max(len(key), -(-len(labels) // 3))
    num_blanks = (-len(labels) % num_rows, -len(key) % num_rows)  # fill the columns: the key gets its own
    blank = line([], [], linestyle="none")
    handles = [*runs, *[blank] * num_blanks[0], *key, *[blank] * num_blanks[1]]
    texts = [*labels, *[""] * num_blanks[0], *meaning, *[""] * num_blanks[1]]
    legend = figure.legend(
        handles,
        [str(i) for i in range(len(texts))],
        loc="outside lower center",
        ncols=len(texts) // num_rows,
        frameon=False,
        fontsize=11,
        labelcolor=INK,
    )
    for text, content in zip(legend.get_texts(), texts, strict=True):
        text.set_parse_math(False)  # set late and unparsed: a run may be called "_a" or "$b$"
        text.set_text(content)
