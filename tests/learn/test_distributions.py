"""Pictures of what an agent expects: numbers by hand, and pictures that change with what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mujigae.errors import ConfigError
from mujigae.pictures import distributions
from mujigae.training.evaluate import Moment

SUPPORT = np.linspace(-1, 1, 5, dtype=np.float32)


def moment(
    peak: int,
    step: int,
    reward: float = 0.0,
    is_last: bool = False,
    other: int = 1,
    has_distribution: bool = True,
) -> Moment:
    """Two actions, each certain of one atom."""
    probabilities = np.eye(5, dtype=np.float32)[[peak, other]]
    frame = np.full((20, 16, 3), step % 256, np.uint8)
    returns = np.tile(SUPPORT, (2, 1)) if has_distribution else None
    return Moment(
        frame, probabilities @ SUPPORT, returns, probabilities if has_distribution else None, reward, is_last
    )


def watched(moments: list[Moment]) -> distributions.Game:
    game = distributions.Game(["LEFT", "RIGHT"])
    frames = list(game.watch(iter(moments)))
    assert [int(frame[0, 0, 0]) for frame in frames] == [int(m.frame[0, 0, 0]) for m in moments]
    return game


def test_return_that_followed_each_step_is_discounted() -> None:
    returns = distributions.discounted_returns(np.array([1.0, 0.0, -2.0]), gamma=0.5)
    assert returns.tolist() == [1.0 - 0.25 * 2.0, -1.0, -2.0]


def test_game_keeps_every_value_and_reward_but_a_bounded_number_of_frames() -> None:
    game = watched([moment(t % 5, t, reward=float(t)) for t in range(1000)])
    assert game.values.shape == (1000, 2)
    np.testing.assert_allclose(game.values[:5, 0], SUPPORT)
    assert game.rewards.tolist() == list(range(1000))
    assert game.thinned.stride == 4
    assert [int(m.frame[0, 0, 0]) for m in game.thinned.items] == [t % 256 for t in range(0, 1000, 4)]


@pytest.mark.parametrize(("num_columns", "names"), [(1, ("best action",)), (2, ("action 0", "action 1"))])
def test_actions_without_names_are_numbered_but_for_a_single_one(
    num_columns: int, names: tuple[str, ...]
) -> None:
    values = np.zeros(num_columns, np.float32)
    game = distributions.Game()
    list(game.watch(iter([Moment(np.zeros((20, 16, 3), np.uint8), values, None, None, 0.0, True)])))
    assert game.action_names == names


def test_film_shows_one_picture_a_moment_and_each_looks_different() -> None:
    game = watched([moment(peak, 7) for peak in (0, 4, 4)])
    pictures = list(distributions.film(game))
    assert len(pictures) == 3
    assert all(p.dtype == np.uint8 and p.shape == pictures[0].shape and p.shape[2] == 3 for p in pictures)
    assert (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(pictures[1], pictures[2])


def test_stills_are_the_telling_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Moment] = []
    monkeypatch.setattr(distributions._Panel, "show", lambda self, moment: shown.append(moment))
    game = watched([moment(0, 0, other=3), moment(0, 1, other=1), moment(4, 2, other=4)])
    assert distributions.draw_moments(game, tmp_path / "d.png").stat().st_size > 1000
    assert [int(m.frame[0, 0, 0]) for m in shown] == [2, 0, 1]  # values 1 and 1; -1 and 0.5; -1 and -0.5


def test_values_are_drawn_with_and_without_the_end_of_the_game(tmp_path: Path) -> None:
    pictures = []
    for is_last in (True, False):
        game = watched([moment(1, 0, reward=1.0), moment(3, 1, is_last=is_last)])
        assert game.is_over == is_last
        out = distributions.draw_values(game, game.rewards, 0.9, tmp_path / f"{is_last}.png")
        pictures.append(out.read_bytes())
    assert pictures[0] != pictures[1]


def test_eighteen_actions_fit(tmp_path: Path) -> None:
    probabilities = np.full((18, 5), 0.2, np.float32)
    frame, returns = np.zeros((8, 8, 3), np.uint8), np.tile(SUPPORT, (18, 1))
    moments = [Moment(frame, probabilities @ SUPPORT, returns, probabilities, 0.0, True)]
    game = distributions.Game([f"A{a}" for a in range(18)])
    list(game.watch(iter(moments)))
    distributions.draw_moments(game, tmp_path / "d.png")
    distributions.draw_values(game, game.rewards, 0.9, tmp_path / "q.png")


def test_agent_of_plain_values_has_no_distributions(tmp_path: Path) -> None:
    game = watched([moment(1, 0, has_distribution=False)])
    draw: Any
    for draw in (
        lambda: distributions.draw_moments(game, tmp_path / "d.png"),
        lambda: next(distributions.film(game)),
    ):
        with pytest.raises(ConfigError, match="got one of values alone"):
            draw()


def test_returns_that_never_move_have_a_bar_each_in_its_middle() -> None:
    edges = distributions._edges(np.tile(SUPPORT, (3, 2, 1)))
    np.testing.assert_allclose(edges, [-1.25, -0.75, -0.25, 0.25, 0.75, 1.25])
    np.testing.assert_allclose(distributions._heights(moment(4, 0, other=2), edges), np.eye(5)[[4, 2]])


def test_returns_that_move_share_bars_over_the_whole_game() -> None:
    returns = np.float32([[[0.0, 1.0], [1.0, 1.0]], [[2.0, 4.0], [3.0, 3.0]]])  # [T, A, N]
    edges = distributions._edges(returns)
    assert edges[0] < 0.0
    assert edges[-1] > 4.0
    half = np.full((2, 2), 0.5, np.float32)
    heights = distributions._heights(Moment(np.zeros((1, 1, 3)), half[0], returns[1], half, 0.0, True), edges)
    assert heights.sum(1).tolist() == [1.0, 1.0]
    assert sorted(heights[0][heights[0] > 0]) == [0.5, 0.5]  # two bars
    assert heights[1].max() == 1.0  # one


def test_returns_that_are_all_one_number_can_be_drawn(tmp_path: Path) -> None:
    ones = np.ones((2, 5), np.float32)
    still = Moment(np.zeros((8, 8, 3), np.uint8), ones[:, 0], 3 * ones, ones / 5, 0.0, True)
    distributions.draw_moments(watched([still]), tmp_path / "d.png")
