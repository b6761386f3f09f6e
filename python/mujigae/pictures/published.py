"""Published scores that a curve is drawn against: means of whole games under the protocol of our presets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from mujigae.pictures.figures import QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PUBLISHED", "Published", "draw_published"]


class Published(NamedTuple):
    """A score, and who reported it after how much training."""

    score: float
    source: str


PUBLISHED: dict[str, Published] = {
    "ALE/Pong-v5": Published(20.9, "Rainbow, 200M frames (Hessel et al. 2018)"),
    "ALE/Breakout-v5": Published(366.9, "DQN, 40M frames (CleanRL's dqn_atari.py)"),
    "ALE/BeamRider-v5": Published(16_850.0, "Rainbow, 200M frames (Hessel et al. 2018)"),
    "ALE/Boxing-v5": Published(99.6, "Rainbow, 200M frames (Hessel et al. 2018)"),
    "ALE/Freeway-v5": Published(34.0, "Rainbow, 200M frames (Hessel et al. 2018)"),
    "ALE/Qbert-v5": Published(33_818.0, "Rainbow, 200M frames (Hessel et al. 2018)"),
    "ALE/Seaquest-v5": Published(15_899.0, "Rainbow, 200M frames (Hessel et al. 2018)"),
    "ALE/SpaceInvaders-v5": Published(18_789.0, "Rainbow, 200M frames (Hessel et al. 2018)"),
    "CartPole-v1": Published(500.0, "DQN, 50k steps (RL Baselines3 Zoo)"),
}


def draw_published(axes: Axes, env_ids: Iterable[str | None]) -> None:
    """A dotted line at the published score, where all curves are of one environment that has one."""
    common = set(env_ids)
    published = PUBLISHED.get(next(iter(common)) or "") if len(common) == 1 else None
    if published is None:
        return
    axes.axhline(published.score, color=QUIET, linewidth=1.0, linestyle="dotted", zorder=1)
    axes.annotate(
        f"{published.score:g}: {published.source}",
        (0.99, published.score),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=QUIET,
    )
