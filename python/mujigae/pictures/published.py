"""Published learning curves that ours are drawn against: at the same frames, under the same protocol, or not at all.

Source: the learning curves of Dopamine's agents (Castro et al. 2018), https://github.com/google/dopamine,
baselines/atari/data: means over 5 seeds of the returns of training games in each million frames. Their protocol is that of
Machado et al. 2018: sticky actions of 0.25, a lost life is no end, no no-ops, frames of 84x84, four in a stack, one
decision every four frames. A final score of 200 million frames says nothing about a run of ten, and the scores of an
evaluation nothing about training games, so neither is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mujigae.pictures.figures import QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DOPAMINE", "Published", "draw_published", "published_for"]

_PROTOCOL: Mapping[str, Any] = {
    "sticky_probability": 0.25,
    "life_loss": False,
    "fire_reset": False,
    "num_noops": 0,
    "full_action_set": False,
    "max_frames_per_episode": 108_000,
    "frame_size": 84,
    "frame_stack": 4,
    "frame_skip": 4,
    "clip_rewards": True,
}
_MILLION = 1_000_000


class Published(NamedTuple):
    """The curve of one agent in one game: at each number of frames, the return of training games."""

    agent: str
    frames: tuple[int, ...]
    scores: tuple[float, ...]


def _curve(agent: str, points: Mapping[int, float]) -> Published:
    """points: millions of frames and the score there."""
    return Published(agent, tuple(m * _MILLION for m in points), tuple(points.values()))


def _game(rainbow: Sequence[float], dqn: Sequence[float], c51: Sequence[float]) -> dict[str, Published]:
    """The presets that each of Dopamine's agents is compared with; its Rainbow is C51, n-step and prioritized replay."""
    return {
        "rainbow": _curve("Dopamine's Rainbow", dict(zip((5, 8, 10, 20, 50), rainbow, strict=True))),
        "dqn": _curve("Dopamine's DQN", dict(zip((10, 20, 50), dqn, strict=True))),
        "c51": _curve("Dopamine's C51", dict(zip((10, 20, 50), c51, strict=True))),
    }


DOPAMINE: dict[str, dict[str, Published]] = {
    "ALE/Pong-v5": _game((-14.2, 2.5, 12.4, 18.8, 19.7), (1.1, 14.3, 18.2), (-12.7, 9.8, 16.7)),
    "ALE/Freeway-v5": _game((30.5, 31.9, 32.1, 32.6, 33.3), (18.7, 19.6, 20.0), (29.4, 32.2, 33.2)),
    "ALE/Boxing-v5": _game((16.9, 42.0, 60.4, 95.2, 96.1), (53.8, 76.0, 89.4), (6.2, 59.2, 89.4)),
    "ALE/Breakout-v5": _game((19.4, 31.8, 43.8, 62.9, 50.3), (51.9, 93.4, 99.6), (23.7, 66.2, 259.7)),
    "ALE/SpaceInvaders-v5": _game((504, 681, 723, 1_111, 1_905), (690, 979, 1_648), (449, 770, 1_569)),
    "ALE/Qbert-v5": _game(
        (2_317, 3_938, 5_154, 12_527, 16_612), (1_245, 4_027, 10_770), (1_580, 3_758, 10_514)
    ),
    "ALE/BeamRider-v5": _game((630, 4_656, 5_629, 4_883, 5_539), (5_314, 3_502, 4_895), (653, 4_287, 5_331)),
    "ALE/Seaquest-v5": _game((498, 1_409, 1_571, 2_979, 7_510), (951, 2_274, 3_617), (461, 835, 1_715)),
}


def published_for(configs: Sequence[Mapping[str, Any]]) -> Published | None:
    """The curve that all runs of these flat configurations can be compared with; None where there is none."""
    kinds = {(config.get("env_id"), config.get("preset")) for config in configs}
    if len(kinds) != 1 or not all(_has_protocol(config) for config in configs):
        return None
    ((env_id, preset),) = kinds
    return DOPAMINE.get(str(env_id), {}).get(str(preset))


def draw_published(axes: Axes, configs: Sequence[Mapping[str, Any]], max_steps: float) -> None:
    """A dotted line through the published curve as far as `max_steps` steps, on axes that count steps, if there is one."""
    published = published_for(configs)
    if published is None:
        return
    frames_per_step = int(_PROTOCOL["frame_skip"])
    points = [
        (frames / frames_per_step, score)
        for frames, score in zip(published.frames, published.scores, strict=True)
        if frames / frames_per_step <= max_steps
    ]
    if not points:
        return
    steps, scores = zip(*points, strict=True)
    axes.plot(
        steps, scores, color=QUIET, linewidth=1.2, linestyle="dotted", marker="o", markersize=3, zorder=1
    )
    axes.annotate(
        f"{published.agent}, sticky actions, training games (Castro et al. 2018)",
        (0.99, scores[-1]),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=QUIET,
    )


def _has_protocol(config: Mapping[str, Any]) -> bool:
    return all(config.get(name) == value for name, value in _PROTOCOL.items())
