"""Loss, epsilon and whatever else progress.csv has, against agent steps: one panel for each column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mujigae.config.checks import close_matches
from mujigae.errors import ConfigError
from mujigae.pictures.figures import COLOURS, INK, check_png, dress, new_figure, save, shorten_steps
from mujigae.runs.reading import read_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DEFAULT_COLUMNS", "plot_progress", "read_columns"]

DEFAULT_COLUMNS = ("loss", "epsilon", "mean_q", "mean_target", "action_gap")
_LARGEST = 1e100  # axes of larger numbers overflow


class Line(NamedTuple):
    """One column of one run; R rows, those that have a number."""

    step: NDArray[np.float64]  # [R]
    value: NDArray[np.float64]  # [R]


def plot_progress(run_folders: Sequence[Path], out: Path, columns: Sequence[str] = ()) -> Path:
    """Draws `columns` of the runs' progress.csv into the PNG `out` and returns its path.

    Without `columns` those of DEFAULT_COLUMNS that a run has. Raises ConfigError for a folder without the table, a column
    that none of them has, with close matches, and where there is no number to draw.
    """
    out = check_png(Path(out))
    folders = [Path(folder) for folder in run_folders]
    names = [folder.resolve().name for folder in folders]
    tables = {
        name if names.count(name) == 1 else str(folder): read_columns(folder / "progress.csv")
        for name, folder in zip(names, folders, strict=True)
    }
    known = list(dict.fromkeys(name for table in tables.values() for name in table))
    for name in columns:
        if name not in known:
            raise ConfigError(f"columns: no run has {name!r}{close_matches(name, known)}")
    wanted = columns or [name for name in DEFAULT_COLUMNS if name in known]
    shown = [name for name in wanted if any(name in t and len(t[name].step) for t in tables.values())]
    if not shown:
        raise ConfigError(
            f"{folders[0] / 'progress.csv'}: no number yet in {', '.join(wanted) or 'any column'}"
        )
    return save(_draw(tables, shown), out)


def read_columns(path: Path) -> dict[str, Line]:
    """Every column of a progress.csv but the step; cells that are empty or too large to draw are left out."""
    if not path.exists():
        raise ConfigError(f"{path.parent}: not a run folder, it has no {path.name}")
    rows = read_table(path)
    _, header = next(rows, (1, []))
    if "step" not in header:
        raise ConfigError(f"{path}: expected a column step")
    cells = [_numbers(f"{path}, line {line}", row, len(header)) for line, row in rows]
    numbers = np.array(cells, dtype=np.float64).reshape(-1, len(header))
    step = numbers[:, header.index("step")]
    lines = {}
    for place, name in enumerate(header):
        is_there = np.isfinite(numbers[:, place]) & np.isfinite(step)
        lines[name] = Line(step[is_there], numbers[is_there, place])
    del lines["step"]
    return lines


def _numbers(where: str, row: list[str], num_columns: int) -> list[float]:
    if len(row) != num_columns:
        raise ConfigError(f"{where}: expected {num_columns} values, got {len(row)}")
    return [_number(cell) for cell in row]


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return float("nan")
    return value if abs(value) <= _LARGEST else float("nan")


def _draw(tables: dict[str, dict[str, Line]], columns: list[str]) -> Figure:
    figure = new_figure(12, 2.6 * -(-len(columns) // 2))
    panels = figure.subplots(-(-len(columns) // 2), min(2, len(columns)), squeeze=False).flatten()
    for axes, column in zip(panels, columns, strict=False):
        for i, (name, table) in enumerate(tables.items()):
            line = table.get(column, Line(np.empty(0), np.empty(0)))
            axes.plot(line.step, line.value, color=COLOURS[i % len(COLOURS)], linewidth=1.6, label=name)
        dress(axes, "agent steps")
        axes.set_xlim(left=0.0)
        shorten_steps(axes)
        axes.set_title(column.replace("_", " "), fontsize=12, color=INK, parse_math=False)
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    if len(tables) > 1:
        _add_legend(figure, list(tables))
    return figure


def _add_legend(figure: Figure, names: list[str]) -> None:
    """Names of the runs, set late and unparsed: a run may be called "_a" or "$b$"."""
    handles = figure.axes[0].get_lines()
    numbers = [str(i) for i in range(len(names))]
    legend = figure.legend(
        handles, numbers, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
