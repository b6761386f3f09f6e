"""Learning curves over seeds: runs that differ in their seeds and budgets alone become one curve with a confidence band.

At each point the curve is the interquartile mean over runs of the mean of their last 20 games, and the band
its 95% stratified bootstrap interval, both as Agarwal et al. 2021 ("Deep Reinforcement Learning at the Edge
of the Statistical Precipice") recommend; rliable computes them. R runs, T points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mujigae.errors import ConfigError, require
from mujigae.pictures.curves import SHORT_WINDOW, Games, read_games, running_mean
from mujigae.pictures.figures import COLOURS, INK, check_png, dress, new_figure, save, shorten_steps
from mujigae.pictures.kinds import kinds
from mujigae.pictures.published import draw_published

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Band", "band_of", "plot_bands"]

NUM_POINTS, NUM_RESAMPLES = 100, 1_000
_STYLES = [(colour, line) for line in ("-", "--") for colour in (*COLOURS, "#999999")]
_LONG_LABEL = 30  # characters


class Band(NamedTuple):
    """One curve with its interval."""

    x: NDArray[np.float64]  # [T] agent steps or minutes
    iqm: NDArray[np.float64]  # [T]
    low: NDArray[np.float64]  # [T]
    high: NDArray[np.float64]  # [T]


def plot_bands(run_folders: Sequence[Path], out: Path) -> Path:
    """Draws one curve for each kind of run into the PNG `out`; returns its path.

    Runs are of one kind if they differ in their seeds and budgets alone; a curve is labelled by the preset and by the options in
    which it differs from the first of that preset.
    Left panel: against agent steps; right panel: against minutes. A curve reaches as far as its shortest run.
    Raises ConfigError as `curves.plot` does, and for a run with fewer than 20 finished games.
    """
    if len(run_folders) == 0:
        raise ConfigError("run_folders: expected at least one run folder, got none")
    groups = kinds([read_games(Path(folder)) for folder in run_folders])
    if len(groups) > len(_STYLES):
        raise ConfigError(
            f"run_folders: expected at most {len(_STYLES)} kinds of run in one picture, got {len(groups)}"
        )
    figure = new_figure(12, 5.4)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, unit in zip(panels, ("agent steps", "minutes"), strict=True):
        for style, (label, runs) in zip(_STYLES, groups.items(), strict=False):
            x = [run.step if unit == "agent steps" else run.minutes for run in runs]
            _draw(axes, band_of(x, [run.score for run in runs]), style, f"{label} ({_seeds(runs)})")
        dress(axes, unit)
        axes.set_xlim(left=0.0)
    everything = [run for runs in groups.values() for run in runs]
    draw_published(
        panels[0], [run.config for run in everything], max(float(run.step[-1]) for run in everything)
    )
    shorten_steps(panels[0])
    panels[0].set_ylabel(f"mean return of {SHORT_WINDOW} games, IQM over seeds", fontsize=12, color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    ncols = 4 if max(map(len, labels)) <= _LONG_LABEL else 1
    figure.legend(handles, labels, loc="outside lower center", ncols=ncols, frameon=False, fontsize=11)
    return save(figure, check_png(Path(out)))


def band_of(x: Sequence[NDArray[np.float64]], scores: Sequence[NDArray[np.float64]]) -> Band:
    """The curve over R runs, run r's game g having ended at x[r][g] with scores[r][g].

    It begins where every run has 20 games and ends where the first run ends. Raises ConfigError for a run of
    fewer games.
    """
    for games in scores:
        if len(games) < SHORT_WINDOW:
            raise ConfigError(f"a band needs {SHORT_WINDOW} finished games of each run, got {len(games)}")
    ends = [places[SHORT_WINDOW - 1 :] for places in x]
    grid = np.linspace(
        max(e[0] for e in ends), max(min(e[-1] for e in ends), max(e[0] for e in ends)), NUM_POINTS
    )
    curves = np.stack(
        [
            running_mean(games, SHORT_WINDOW)[np.searchsorted(e, grid, side="right") - 1]
            for e, games in zip(ends, scores, strict=True)
        ]
    )  # [R, T]
    return Band(grid, _iqm(curves[:, None, :]), *_interval(curves))


def _seeds(runs: Sequence[Games]) -> str:
    if len(runs) == 1:
        return "1 seed"
    are_different = len({run.config.get("seed") for run in runs}) == len(runs)
    return f"{len(runs)} {'seeds' if are_different else 'runs'}"


def _iqm(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """[R, 1, T] -> [T]: the mean without the lowest and highest quarter of the runs."""
    stats = require("scipy.stats", "train")
    return np.asarray(stats.trim_mean(curves[:, 0, :], proportiontocut=0.25, axis=0), dtype=np.float64)


def _interval(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """[R, T] -> the 95% interval [2, T]; a single run has none, and so its ends are the run itself."""
    if len(curves) == 1:
        return np.concatenate([curves, curves])
    library = require("rliable.library", "train")
    with _numpy_seeded(0):
        _, intervals = library.get_interval_estimates({"": curves[:, None, :]}, _iqm, reps=NUM_RESAMPLES)
    return np.asarray(intervals[""], dtype=np.float64)


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """rliable 1.2 resamples with NumPy's global generator, whatever `random_state` it is given; so that the same
    runs give the same picture, the generator is seeded, and put back afterwards."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def _draw(axes: Axes, band: Band, style: tuple[str, str], label: str) -> None:
    colour, line = style
    axes.plot(band.x, band.iqm, color=colour, linestyle=line, linewidth=2.2, label=label)
    axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
