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
from mujigae.seeds import child_seed

__all__ = ["MAX_NUM_ENVS", "Moment", "evaluate", "play", "quotas", "standard_error", "summary"]

MAX_NUM_ENVS = 10  # environments side by side in an evaluation


def evaluate(
    agent: Agent,
    environment: Environment,
    *,
    num_episodes: int,
    seed: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> NDArray[np.float64]:
    """Raw undiscounted returns [num_episodes]: the first games of each environment after a reset.

    `agent.act_for_evaluation(obs, rng)` plays; its own random state is not moved. Once `should_stop()` the games that
    have ended are all there is.
    """
    stream = environment.stream
    stream.reset(seed)
    rng = np.random.default_rng(child_seed(seed, "evaluation", 1))
    left = quotas(num_episodes, stream.num_envs)
    scores: list[list[float]] = [[] for _ in left]
    while any(left) and not should_stop():
        steps = stream.step(agent.act_for_evaluation(stream.obs, rng))
        for episode in steps.episodes:
            if left[episode.env_id] > 0:
                left[episode.env_id] -= 1
                scores[episode.env_id].append(episode.score)
    return np.array([score for games in scores for score in games])


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
