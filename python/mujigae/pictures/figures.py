"""What all figures share: colours, axes without clutter, and a PNG that appears whole or not at all.

Figures are built through matplotlib's objects alone: no display is needed, and pyplot's global state is neither read
nor moved.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mujigae.errors import ConfigError, MujigaeError, require
from mujigae.runs.files import replaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    *("COLOURS", "INK", "QUIET", "agg_canvas", "check_png", "dress", "new_figure", "save", "shorten_steps"),
]

# Okabe and Ito's colours, told apart with every common colour blindness; without yellow, too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#333333")
INK, QUIET = "#222222", "#666666"


def new_figure(width_inches: float, height_inches: float, dpi: int = 120) -> Figure:
    """A white figure that arranges its own axes."""
    figures = require("matplotlib.figure", "train")
    layouts = require("matplotlib.layout_engine", "train")
    figure: Figure = figures.Figure(
        figsize=(width_inches, height_inches),
        dpi=dpi,
        facecolor="white",
        layout=layouts.ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12),
    )
    return figure


def agg_canvas(figure: Figure) -> Any:
    """Where a figure is drawn into memory: a FigureCanvasAgg, whose methods have no types."""
    backend = require("matplotlib.backends.backend_agg", "train")
    return backend.FigureCanvasAgg(figure)


def shorten_steps(axes: Axes) -> None:
    """Numbers of steps on the x axis as 20k, 3M."""
    ticker = require("matplotlib.ticker", "train")
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))


def dress(axes: Axes, x_label: str) -> None:
    """A light grid, two spines, quiet ticks."""
    axes.set_xlabel(x_label, fontsize=12, color=INK)
    axes.set_facecolor("white")
    axes.grid(visible=True, color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=11, colors=QUIET, length=0, labelleft=True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#BBBBBB")


def check_png(out: Path) -> Path:
    """Raises ConfigError for a path that is no PNG's."""
    if out.suffix.lower() != ".png":
        raise ConfigError(f"out: expected a path that ends in .png, got {out}")
    return out


def save(figure: Figure, out: Path) -> Path:
    """Written aside, then renamed: a reader never sees half a picture. Raises MujigaeError if it cannot be written."""
    canvas = agg_canvas(figure)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replaced(out) as aside:
            canvas.print_png(str(aside))
    except OSError as error:
        raise MujigaeError(f"{out}: cannot be written: {error}") from error
    return out
