"""What an agent expects along one game: the value of each action and, where it has them, the distribution of returns.

    q_values.png                    each action's value, and the discounted return that followed
    distributions.png               three telling moments: the most hopeful, the most decisive, the least hopeful
    distributions.gif, .mp4         the game beside the distribution of every action

A network that learns distributions says for each action how likely each of N returns is: the returns are the same
always (Bellemare et al. 2017), or the network's own (Dabney et al. 2018). Before training all distributions are alike;
afterwards they differ where the action matters.
Shapes: A actions, N returns of a distribution, T steps of the game, H W image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mujigae.errors import ConfigError
from mujigae.pictures.figures import COLOURS, INK, QUIET, agg_canvas, check_png, dress, new_figure, save
from mujigae.pictures.thinning import Thinned
from mujigae.training.evaluate import Moment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Game", "discounted_returns", "draw_moments", "draw_values", "film"]

_MAX_FILM_MOMENTS = 300
_MAX_ROWS = 6  # of actions in one column
_NUM_BARS = 51  # for returns that move
_GREEDY, _OTHER = COLOURS[1], COLOURS[0]


class Game:
    """Collects one game as it is played: every value and reward, and as many whole moments as a film can show."""

    def __init__(self, action_names: Sequence[str] = ()) -> None:
        """action_names: A of them; without them actions are numbered."""
        self._action_names = tuple(action_names)
        self.thinned: Thinned[Moment] = Thinned(_MAX_FILM_MOMENTS)
        self.is_over = False
        self._values: list[NDArray[np.float32]] = []
        self._rewards: list[float] = []

    def watch(self, moments: Iterator[Moment]) -> Iterator[NDArray[np.uint8]]:
        """The frames of `moments`, which it takes note of as they pass."""
        for moment in moments:
            if moment.values is not None:
                self._values.append(moment.values)
            self._rewards.append(moment.reward)
            self.is_over = moment.is_last
            self.thinned.offer(lambda moment=moment: moment)  # type: ignore[misc]
            yield moment.frame

    @property
    def action_names(self) -> tuple[str, ...]:
        """A of them; a single column of values is that of the best action, as of continuous ones."""
        num_columns = self.values.shape[1]
        numbered = tuple(f"action {a}" for a in range(num_columns))
        return self._action_names or (("best action",) if num_columns == 1 else numbered)

    @property
    def has_values(self) -> bool:
        """Whether the agent that played has a value for each action."""
        return len(self._values) > 0

    @property
    def values(self) -> NDArray[np.float32]:
        """[T, A]"""
        return np.stack(self._values)

    @property
    def rewards(self) -> NDArray[np.float64]:
        """[T], what each step gave"""
        return np.array(self._rewards, dtype=np.float64)

    @property
    def has_distributions(self) -> bool:
        """Whether the agent that played has return distributions."""
        return all(moment.returns is not None for moment in self.thinned.items)


def discounted_returns(rewards: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """G_t = r_t + gamma G_{t+1} for each of the T steps, with nothing after the last: [T] -> [T]."""
    returns = np.zeros(len(rewards))
    ahead = 0.0
    for t in range(len(rewards) - 1, -1, -1):
        returns[t] = ahead = rewards[t] + gamma * ahead
    return returns


def draw_values(game: Game, rewards: NDArray[np.float64], gamma: float, out: Path) -> Path:
    """Draws each action's value at every step into the PNG `out`; and, if the game came to its end, the
    discounted return that followed each step, which the largest value ought to foretell.

    rewards: [T] of the game's steps, as the learner gets them, which may be clipped.
    """
    figure = new_figure(12, 5)
    axes = figure.subplots()
    for a, name in enumerate(game.action_names):
        axes.plot(game.values[:, a], color=COLOURS[a % len(COLOURS)], linewidth=1.2, alpha=0.8, label=name)
    if game.is_over:
        followed = discounted_returns(rewards, gamma)
        axes.plot(
            followed, color=INK, linewidth=1.6, linestyle="dashed", label="discounted return that followed"
        )
    dress(axes, "agent steps")
    axes.set_ylabel("value of an action", fontsize=12, color=INK)
    figure.legend(loc="outside lower center", ncols=min(len(game.action_names) + 1, 7), frameon=False)
    return save(figure, check_png(out))


def draw_moments(game: Game, out: Path) -> Path:
    """Draws three moments of a game into the PNG `out`, with the frame and the
    distribution of every action: where the greedy value is highest, where the values of the actions are
    furthest apart, and where the greedy value is lowest. Raises ConfigError without distributions."""
    moments = game.thinned.items
    edges = _edges(_returns_of(game))
    best = [float(_values(moment).max()) for moment in moments]
    gaps = [float(np.ptp(_values(moment))) for moment in moments]
    chosen = {
        "most hopeful": int(np.argmax(best)),
        "most decisive": int(np.argmax(gaps)),
        "least hopeful": int(np.argmin(best)),
    }
    figure = new_figure(13, 8)
    tallest = max(float(_heights(moments[i], edges).max()) for i in chosen.values())
    columns: Any = figure.subfigures(1, len(chosen))
    for column, (title, index) in zip(columns, chosen.items(), strict=True):
        panel = _Panel(column, game.action_names, edges, tallest)
        panel.show(moments[index])
        column.suptitle(f"{title}: step {index * game.thinned.stride:,}", fontsize=13, color=INK)
    return save(figure, check_png(out))


def film(game: Game) -> Iterator[NDArray[np.uint8]]:
    """RGB frames uint8 [H, W, 3]: the game on the left, the distribution of every action on the right.

    At most 300, evenly spaced over the game. Raises ConfigError without distributions.
    """
    moments = game.thinned.items
    edges = _edges(_returns_of(game))
    tallest = max(float(_heights(moment, edges).max()) for moment in moments)
    figure = new_figure(8, 4.8, dpi=80)
    canvas = agg_canvas(figure)
    panel = _Panel(figure, game.action_names, edges, tallest, is_beside=True)
    for moment in moments:
        panel.show(moment)
        canvas.draw()
        yield np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
        figure.set_layout_engine("none")  # arranged once; later moments keep the places


class _Panel:
    """One game frame and the distribution of every action, redrawn for each moment."""

    def __init__(
        self,
        figure: Figure | Any,
        action_names: Sequence[str],
        edges: NDArray[np.float64],
        tallest: float,
        *,
        is_beside: bool = False,
    ) -> None:
        num_columns = -(-len(action_names) // _MAX_ROWS)
        halves: Any = (
            figure.subfigures(1, 2, width_ratios=[1, 1.2])
            if is_beside
            else figure.subfigures(2, 1, height_ratios=[1, 1.6])
        )
        picture, plots = halves
        self._picture: Axes = picture.subplots()
        self._picture.set_axis_off()
        self._image: Any = None
        num_rows = -(-len(action_names) // num_columns)
        self._axes: list[Axes] = list(plots.subplots(num_rows, num_columns, sharex=True, squeeze=False).flat)
        self._names = action_names
        self._edges = edges
        self._steps = [axes.stairs(np.zeros(len(edges) - 1), edges, fill=True) for axes in self._axes]
        self._means = [axes.axvline(0.0, color=INK, linewidth=1.2) for axes in self._axes]
        for axes in self._axes:
            dress(axes, "")
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylim(0.0, 1.05 * tallest)
            axes.tick_params(labelsize=8)
        for axes in self._axes[len(action_names) :]:
            axes.set_axis_off()
        for axes in self._axes[-num_columns:]:
            axes.set_xlabel("discounted return", fontsize=9, color=QUIET)

    def show(self, moment: Moment) -> None:
        """Puts another moment in place of the one before."""
        if self._image is None:
            self._image = self._picture.imshow(moment.frame, interpolation="nearest")
        self._image.set_data(moment.frame)
        values = _values(moment)
        greedy = int(values.argmax())
        heights = _heights(moment, self._edges)
        for a, name in enumerate(self._names):
            self._steps[a].set_data(heights[a])
            self._steps[a].set_color(_GREEDY if a == greedy else _OTHER)
            self._means[a].set_xdata([values[a]] * 2)
            self._axes[a].set_title(
                f"{name}: {values[a]:.2f}",
                fontsize=9,
                color=_GREEDY if a == greedy else INK,
                loc="left",
            )


def _values(moment: Moment) -> NDArray[np.float32]:
    """[A]"""
    assert moment.values is not None
    return moment.values


def _returns_of(game: Game) -> NDArray[np.float32]:
    """The returns of all distributions of a game: [T, A, N]."""
    if not game.has_distributions:
        raise ConfigError(
            "distributions: expected an agent that learns them, as c51 does, got one of values alone"
        )
    return np.stack([moment.returns for moment in game.thinned.items if moment.returns is not None])


def _edges(returns: NDArray[np.float32]) -> NDArray[np.float64]:
    """The edges of the bars that [T, A, N] returns are counted in.

    Returns that are always the same have a bar each, with the return in its middle; those that move share bars of one
    width between the least and the greatest.
    """
    first = np.sort(returns[0, 0]).astype(np.float64)
    if (returns == returns[0, 0]).all() and (np.diff(first) > 0).all():
        middles = (first[1:] + first[:-1]) / 2
        return np.concatenate([[2 * first[0] - middles[0]], middles, [2 * first[-1] - middles[-1]]])
    least, greatest = float(returns.min()), float(returns.max())
    margin = 1e-3 * max(abs(least), abs(greatest), 1.0)  # all returns inside, also where there is but one
    return np.linspace(least - margin, greatest + margin, _NUM_BARS + 1)


def _heights(moment: Moment, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of each action's returns between two edges: [A, number of bars]."""
    assert moment.returns is not None
    assert moment.probabilities is not None
    pairs = zip(moment.returns, moment.probabilities, strict=True)
    return np.stack([np.histogram(returns, edges, weights=weights)[0] for returns, weights in pairs])
