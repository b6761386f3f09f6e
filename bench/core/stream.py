"""The transitions that fill every buffer, and what a batch drawn from them must be.

A row's action tells which row it is; a frame's first four bytes are its number. Rewards are eighths, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.subject import GAMMA, Drawn, Rows

STACK, SIDE, N_STEP = 4, 84, 3
NUM_LEFT_OUT = 5  # rows at an episode's end of which only `obs` is checked: what else they give differs between libraries
CHUNK_STEPS = 500
EPISODE_STEPS = 1000  # of rows of floats
GAMES: tuple[str, ...] = ("Pong", "Breakout", "Qbert", "MsPacman", "SpaceInvaders", "Seaquest")
GAMES += ("MontezumaRevenge", "Asterix", "Enduro", "VideoPinball", "StarGunner", "BeamRider")
NUM_GAME_ENVS = 4


def record(path: Path, num_steps: int) -> None:
    """Writes frames of random play, as mujigae's agents see them, the same number of steps of each of the twelve games.

    `frames` uint8 [F, 84, 84], in the order in which they were seen, and `starts` bool [F], the frames after a reset.
    """
    parts = [_played(game, -(-num_steps // len(GAMES) // NUM_GAME_ENVS)) for game in GAMES]
    frames = np.concatenate([frames for frames, _ in parts])
    frames.reshape(len(frames), -1)[:, :4] = np.arange(len(frames), dtype="<u4")[:, None].view(np.uint8)
    np.save(path.with_suffix(".starts.npy"), np.concatenate([starts for _, starts in parts]))
    np.save(path.with_suffix(".part.npy"), frames)
    path.with_suffix(".part.npy").rename(path)


def _played(game: str, num_steps: int) -> tuple[Any, Any]:
    """Steps of several environments, one environment's after the other's."""
    from mujigae.config.run import EnvConfig
    from mujigae.envs.atari import AtariGames

    games = AtariGames(EnvConfig(f"ALE/{game}-v5", num_envs=NUM_GAME_ENVS), life_loss=False)
    rng = np.random.default_rng(0)
    frames = np.empty((NUM_GAME_ENVS, num_steps + 1, SIDE, SIDE), np.uint8)
    starts = np.zeros((NUM_GAME_ENVS, num_steps + 1), bool)
    obs, info = games.reset(seed=0)
    frames[:, 0], starts[:, 0] = obs[:, -1], True
    for t in range(1, num_steps + 1):
        starts[:, t] = info["game_over"]  # such a game is reset by this step
        obs, *_, info = games.step(rng.integers(len(games.action_names), size=NUM_GAME_ENVS))
        frames[:, t] = obs[:, -1]
    games.close()
    return frames.reshape(-1, SIDE, SIDE), starts.reshape(-1)


class AtariStream:
    """Steps between recorded frames: row r leads from stack `position[r]` to the next; stacks start with zeros."""

    repeats_first = False  # what stands before an episode's first frame: zeros, or that frame again

    def __init__(self, path: Path, game: int | None = None) -> None:
        frames, starts = np.load(path, mmap_mode="r"), np.load(path.with_suffix(".starts.npy"))
        part = (
            slice(None) if game is None else slice(*(len(starts) // len(GAMES) * g for g in (game, game + 1)))
        )
        self.frames, starts = frames[part], starts[part]
        self.first_number = part.start or 0
        index = np.arange(len(starts))
        self.start = np.maximum.accumulate(np.where(starts, index, 0))  # first frame of a frame's episode
        self.position = index[:-1][~starts[1:]]
        is_last = np.append(starts[1:], True)[self.position + 1]
        rng = np.random.default_rng(1)
        self.reward = rng.integers(-8, 9, len(self.position)).astype(np.float32) / 8
        self.terminated = is_last & (rng.random(len(self.position)) < 0.5)
        self.truncated = is_last & ~self.terminated

    def __len__(self) -> int:
        return len(self.position)

    def stacks(self, positions: Any) -> Any:
        """[B, 4, 84, 84], contiguous."""
        numbers, is_padding = self._numbers(positions)
        stacks = self.frames[numbers]
        stacks[is_padding] = 0
        return stacks

    def rows(self, first: int, end: int) -> Rows:
        at = self.position[first:end]
        rest = (self.terminated[first:end], self.truncated[first:end])
        return Rows(
            self.stacks(at), np.arange(first, end), self.reward[first:end], self.stacks(at + 1), *rest
        )

    def chunks(self, num_rows: int) -> Iterator[Rows]:
        """The first rows, a few hundred at a time; the last of them ends its episode."""
        self.num_rows = num_rows
        self.truncated[num_rows - 1] = not self.terminated[num_rows - 1]
        for first in range(0, num_rows, CHUNK_STEPS):
            yield self.rows(first, min(first + CHUNK_STEPS, num_rows))

    def check(self, drawn: Drawn) -> None:
        """Every frame by its number, four samples byte by byte, and all else where the window is within its episode.

        At the end of an episode the libraries differ (cpprb 11.0.0's next_obs is of other rows in the last five); which are
        right there is for the conformance suite to say.
        """
        row = array(drawn.action).reshape(-1).astype(np.int64)
        assert ((row >= 0) & (row < self.num_rows)).all(), "a row that was never added"
        later = np.minimum(row + NUM_LEFT_OUT, self.num_rows - 1)
        is_inner = (self.position[later] == self.position[row] + NUM_LEFT_OUT) & (later == row + NUM_LEFT_OUT)
        self._check_stacks(array(drawn.obs), self.position[row])
        self._check_stacks(array(drawn.next_obs)[is_inner], (self.position[row] + N_STEP)[is_inner])
        rewards = self.reward[np.minimum(row[:, None] + np.arange(N_STEP), len(self) - 1)]
        reward = (rewards * GAMMA ** np.arange(N_STEP)).sum(1)
        assert np.allclose(array(drawn.reward).reshape(-1)[is_inner], reward[is_inner], atol=1e-5)
        assert np.allclose(array(drawn.discount).reshape(-1)[is_inner], GAMMA**N_STEP)
        check_weights(drawn, len(row))

    def _check_stacks(self, stacks: Any, positions: Any) -> None:
        numbers, is_padding = self._numbers(positions)
        found = np.ascontiguousarray(stacks[:, :, 0, :4]).view("<u4")[:, :, 0]
        expected = np.where(is_padding, 0, numbers + self.first_number)
        assert np.array_equal(found, expected), "frames of another row"
        assert np.array_equal(stacks[:4], self.stacks(positions[:4])), "pixels differ"

    def _numbers(self, positions: Any) -> tuple[Any, Any]:
        numbers = positions[:, None] + np.arange(1 - STACK, 1)
        start = self.start[positions][:, None]
        return np.maximum(numbers, start), (numbers < start) & (not self.repeats_first)


class VectorStream:
    """Rows of floats: the first entry of an observation is its number, exact up to 2^24."""

    def __init__(self, num_rows: int, num_obs: int, num_action: int | None) -> None:
        rng = np.random.default_rng(2)
        self.obs = rng.standard_normal((num_rows + 1, num_obs)).astype(np.float32)
        self.obs[:, 0] = np.arange(num_rows + 1)
        self.action = np.arange(num_rows)
        if num_action is not None:
            self.action = rng.standard_normal((num_rows, num_action)).astype(np.float32)
        self.reward = rng.integers(-8, 9, num_rows).astype(np.float32) / 8
        self.terminated = np.arange(num_rows) % EPISODE_STEPS == EPISODE_STEPS - 1
        self.truncated = np.zeros(num_rows, bool)

    def chunks(self, num_rows: int) -> Iterator[Rows]:
        for first in range(0, num_rows, 10_000):
            at = slice(first, min(first + 10_000, num_rows))
            rest = (self.terminated[at], self.truncated[at])
            yield Rows(
                self.obs[at], self.action[at], self.reward[at], self.obs[at.start + 1 : at.stop + 1], *rest
            )

    def check(self, drawn: Drawn) -> None:
        """Every value of every row."""
        obs = array(drawn.obs)
        row = obs[:, 0].astype(np.int64)
        size = len(row)
        assert np.array_equal(obs, self.obs[row]), "obs of another row"
        assert np.array_equal(array(drawn.next_obs), self.obs[row + 1]), "next_obs of another row"
        assert np.array_equal(array(drawn.action).reshape(size, -1), self.action[row].reshape(size, -1))
        assert np.array_equal(array(drawn.reward).reshape(-1), self.reward[row])
        discount = GAMMA * ~self.terminated[row]
        assert np.allclose(array(drawn.discount).reshape(-1), discount), "discount"
        check_weights(drawn, size)


def check_weights(drawn: Drawn, batch_size: int) -> None:
    if drawn.weight is None:
        return  # uniform
    weight = array(drawn.weight).reshape(-1)
    assert len(weight) == batch_size
    assert np.isfinite(weight).all()
    assert (weight > 0).all()


def array(value: Any) -> Any:
    """A torch tensor as a NumPy array."""
    return value if isinstance(value, np.ndarray) else np.asarray(value)
