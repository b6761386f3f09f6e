"""bench/core/sequences.py: sequences that are not those that were added are no measurement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

NUM_ROWS = 4_000


class Slices:
    """Sequences that begin at given rows, cut out of the columns."""

    def __init__(self, sequences: Any, starts: list[int]) -> None:
        self.sequences, self.rows = sequences, sequences.RowArrays(NUM_ROWS)
        self.extend, self.starts = self.rows.extend, np.array(starts)

    def sample(self, batch_size: int) -> Any:
        at = self.starts[:, None] + np.arange(self.sequences.NUM_STEPS)
        obs = self.rows.obs[np.append(at, at[:, -1:] + 1, axis=1)]
        columns = (self.rows.action[at], self.rows.reward[at], self.rows.discount[at])
        return self.sequences.Sequences(obs, *columns)


def checked(modules: Any, starts: list[int], spoil: Any = lambda drawn: drawn, keeps: bool = True) -> None:
    """Raises AssertionError where a batch of these sequences, spoilt, is not what was added."""
    sequences, subject = modules["core.sequences"], modules["core.subject"]
    replay = Slices(sequences, starts)

    class Subject(subject.Subject):  # type: ignore[misc]
        keeps_to_episodes = keeps

        def sequences(self, *_: int) -> Any:
            return replay

    operation = sequences.SequenceWork(Subject(), NUM_ROWS).operation("sample", len(starts))
    operation.run(1)
    operation.drawn = spoil(operation.drawn)
    operation.check()


def test_sequences_that_were_added_pass(modules: Any) -> None:
    checked(modules, [0, 7, 940, 1000])


def test_masked_steps_may_hold_anything(modules: Any) -> None:
    def spoil(drawn: Any) -> Any:
        mask = np.ones(drawn.reward.shape, bool)
        mask[0, :3] = mask[1, -2:] = False
        drawn.reward[~mask] = np.nan
        drawn.obs[0, :3] = np.nan
        return drawn._replace(mask=mask)

    checked(modules, [10, 20], spoil)


@pytest.mark.parametrize("name", ["obs", "action", "reward", "discount"])
def test_one_wrong_value_fails(modules: Any, name: str) -> None:
    def spoil(drawn: Any) -> Any:
        getattr(drawn, name)[1, -1] += 1
        return drawn

    with pytest.raises(AssertionError):
        checked(modules, [10, 20], spoil)


def test_crossing_an_episode_fails_unless_the_library_knows_none(modules: Any) -> None:
    checked(modules, [10, 980], keeps=False)
    with pytest.raises(AssertionError):
        checked(modules, [10, 980])
