"""Evaluation: which games count, what a film shows, and how the scores are summed up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mujigae.agents import ActionValues, Agent, Update
from mujigae.envs.steps import Episode, Steps
from mujigae.training.evaluate import evaluate, most_steps, play, quotas, summary


class ScriptedStream:
    """Environment e plays games of lengths[e] steps, each with the number of the game as its score."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths, self.num_envs = lengths, len(lengths)
        self.obs = np.zeros((len(lengths), 1), np.float32)
        self.seeds: list[int | None] = []

    def reset(self, seed: int | None = None) -> Any:
        self.seeds.append(seed)
        self.clock = 0
        return self.obs

    def step(self, action: Any) -> Steps:
        self.clock += 1
        reward = np.full(self.num_envs, float(self.clock))
        games = [(e, length) for e, length in enumerate(self.lengths) if self.clock % length == 0]
        episodes = tuple(Episode(e, float(100 * e + self.clock // length), length) for e, length in games)
        return Steps(np.arange(self.num_envs), self.obs, action, reward, *[None] * 3, episodes)  # type: ignore[arg-type]


class Player(Agent):
    def __init__(self) -> None: ...

    def act(self, obs: Any, step: int) -> Any:
        raise AssertionError("evaluation explores by itself")

    def act_for_evaluation(self, obs: Any, rng: np.random.Generator) -> Any:
        return np.zeros(len(obs), np.int64)

    def learn(self, batch: Any) -> Update:
        raise AssertionError("evaluation does not learn")

    def explain(self, obs: Any) -> ActionValues:
        return ActionValues(np.tile(np.float32([1, 2]), (len(obs), 1)))


class Stage:
    def __init__(self, lengths: list[int]) -> None:
        self.stream = ScriptedStream(lengths)

    def render(self) -> Any:
        return np.zeros((2, 2, 3), np.uint8)


def test_evaluation_takes_the_first_games_of_each_environment_not_the_first_to_end() -> None:
    stage: Any = Stage([1, 10])
    scores = evaluate(Player(), stage, num_episodes=5, seed=9)
    assert scores.tolist() == [1, 2, 3, 101, 102]
    assert stage.stream.seeds == [9]


def test_game_that_takes_too_long_is_cut_and_counts_with_its_score_so_far() -> None:
    stage: Any = Stage([1_000])
    said: list[str] = []
    scores = evaluate(Player(), stage, num_episodes=2, seed=9, max_steps=10, say=said.append)
    assert scores.tolist() == [55, 155]  # rewards 1 to 10, then 11 to 20
    assert said == ["2 games were cut after 10 steps and count with their scores so far"]


def test_rest_of_a_game_that_was_cut_counts_as_one() -> None:
    stage: Any = Stage([15])
    scores = evaluate(Player(), stage, num_episodes=3, seed=9, max_steps=10)
    assert scores.tolist() == [55, 11 + 12 + 13 + 14 + 15, sum(range(16, 26))]


def test_game_that_ends_in_its_last_step_is_not_cut() -> None:
    stage: Any = Stage([10])
    said: list[str] = []
    assert evaluate(Player(), stage, num_episodes=2, seed=9, max_steps=10, say=said.append).tolist() == [1, 2]
    assert said == []


@pytest.mark.parametrize(("own", "expected"), [(None, 50), (20, 50), (80, 80)])
def test_games_are_cut_no_sooner_than_the_environment_cuts_them(own: int | None, expected: int) -> None:
    stage: Any = Stage([1])
    stage.max_episode_steps = own
    assert most_steps(stage, 50) == expected


def test_film_ends_with_the_first_game_or_at_the_limit() -> None:
    stage: Any = Stage([4, 1])
    moments = list(play(Player(), stage, seed=0, max_steps=100))
    assert [(m.reward, m.is_last) for m in moments] == [(1, False), (2, False), (3, False), (4, True)]
    assert all(
        m.values is not None and m.values.tolist() == [1, 2] and m.frame.shape == (2, 2, 3) for m in moments
    )
    cut_short = list(play(Player(), stage, seed=0, max_steps=2))
    assert [m.is_last for m in cut_short] == [False, False]


@pytest.mark.parametrize(
    ("num_episodes", "num_envs", "expected"), [(100, 8, [13] * 4 + [12] * 4), (2, 3, [1, 1, 0])]
)
def test_games_are_shared_out_evenly(num_episodes: int, num_envs: int, expected: list[int]) -> None:
    assert quotas(num_episodes, num_envs) == expected


def test_summary_is_mean_and_standard_error() -> None:
    assert summary([1.0, 2.0, 3.0, 4.0]) == "return 2.5 +- 0.6 over 4 episodes"  # 1.29 / sqrt(4)
    assert summary([5.0]) == "return 5.0 +- 0.0 over 1 episodes"
