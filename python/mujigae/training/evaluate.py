"""Scores of whole games in an environment of their own: raw rewards, no life-loss ends, noise silent.

With E environments side by side, the games that finish first are the short ones. Each environment therefore
plays a fixed number of games, and what it plays beyond them is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mujigae.agents.agent import ActionValues, Agent
from mujigae.envs.environment import Environment
from mujigae.envs.steps import Steps
from mujigae.seeds import child_seed

__all__ = ["MAX_NUM_ENVS", "Moment", "evaluate", "most_steps", "play", "quotas", "standard_error", "summary"]

MAX_NUM_ENVS = 10  # environments side by side in an evaluation


def evaluate(
    agent: Agent,
    environment: Environment,
    *,
    num_episodes: int,
    seed: int,
    max_steps: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
) -> NDArray[np.float64]:
    """Raw undiscounted returns [num_episodes]: the first games of each environment after a reset.

    `agent.act_for_evaluation(obs, rng)` plays; its own random state is not moved. A game of more than `max_steps` is cut: it
    counts with its score so far, `say` is told at the end, and the next one begins where it stood. Once `should_stop()` the
    games that have ended are all there is.
    """
    stream = environment.stream
    stream.reset(seed)
    rng = np.random.default_rng(child_seed(seed, "evaluation", 1))
    games = _Games(quotas(num_episodes, stream.num_envs), max_steps)
    while games.are_left and not should_stop():
        games.count(stream.step(agent.act_for_evaluation(stream.obs, rng)))
    if games.num_cut:
        say(f"{games.num_cut} games were cut after {max_steps:,} steps and count with their scores so far")
    return np.array([score for scores in games.scores for score in scores])


class _Games:
    """The scores of each environment's first games, and what is known of those that are open."""

    def __init__(self, quotas: list[int], max_steps: int | None) -> None:
        self._left, self._max_steps = quotas, max_steps
        self._open = [(0, 0.0) for _ in quotas]  # steps and rewards since the game began, or was cut
        self._was_cut = [False for _ in quotas]
        self.scores: list[list[float]] = [[] for _ in quotas]
        self.num_cut = 0

    @property
    def are_left(self) -> bool:
        return any(self._left)

    def count(self, steps: Steps) -> None:
        for row, env in enumerate(steps.env_ids):
            length, score = self._open[env]
            self._open[env] = (length + 1, score + float(steps.reward[row]))
        for episode in steps.episodes:
            env = episode.env_id
            self._keep(env, self._open[env][1] if self._was_cut[env] else episode.score, was_cut=False)
        for env, (length, score) in enumerate(self._open):
            if length == self._max_steps:
                self.num_cut += self._left[env] > 0
                self._keep(env, score, was_cut=True)

    def _keep(self, env: int, score: float, was_cut: bool) -> None:
        self._open[env], self._was_cut[env] = (0, 0.0), was_cut
        if self._left[env] > 0:
            self._left[env] -= 1
            self.scores[env].append(score)


def most_steps(environment: Environment, max_steps: int) -> int:
    """Where an evaluation cuts a game: at `max_steps`, or at the environment's own limit where that is larger."""
    return max(max_steps, environment.max_episode_steps or 0)


_Floats = NDArray[np.float32] | None


class Moment(NamedTuple):
    """One decision of a game, as the agent saw it; A actions, N returns of a distribution."""

    frame: NDArray[np.uint8]  # [H, W, 3], RGB
    values: NDArray[np.float32] | None  # [A]; None of an agent without action values
    returns: (
        NDArray[np.float32] | None
    )  # [A, N] of the return distributions; None of an agent of plain values
    probabilities: NDArray[np.float32] | None  # [A, N]
    reward: float  # raw, what the action gave
    is_last: bool  # the game ended with it


def play(agent: Agent, environment: Environment, *, seed: int, max_steps: int) -> Iterator[Moment]:
    """The decisions of one game in environment 0, which was made with `render`; at most `max_steps`."""
    stream = environment.stream
    stream.reset(seed)
    rng = np.random.default_rng(child_seed(seed, "recording", 1))
    is_last = False
    for _ in range(max_steps):
        if is_last:
            return
        frame, expected = environment.render(), agent.explain(stream.obs)
        steps = stream.step(agent.act_for_evaluation(stream.obs, rng))
        is_last = any(episode.env_id == 0 for episode in steps.episodes)
        reward = float(steps.reward[0])
        yield Moment(frame, *_of_first(expected), reward, is_last)


def _of_first(expected: ActionValues | None) -> tuple[_Floats, _Floats, _Floats]:
    """Values [A], returns and probabilities [A, N] of environment 0, each None where there is none."""
    parts = (None, None, None) if expected is None else expected
    values, returns, probabilities = (None if part is None else part[0] for part in parts)
    return values, returns, probabilities


def quotas(num_episodes: int, num_envs: int) -> list[int]:
    """`num_episodes` shared out as evenly as it goes."""
    return [num_episodes // num_envs + (e < num_episodes % num_envs) for e in range(num_envs)]


def summary(scores: Sequence[float] | NDArray[np.float64]) -> str:
    """`return 493.2 +- 3.1 over 100 episodes`: the mean and its standard error (0 for a single game)."""
    return f"return {np.mean(scores):.1f} +- {standard_error(scores):.1f} over {len(scores)} episodes"


def standard_error(scores: Sequence[float] | NDArray[np.float64]) -> float:
    """Of the mean; 0 for a single game."""
    return float(np.std(scores, ddof=1)) / math.sqrt(len(scores)) if len(scores) > 1 else 0.0
