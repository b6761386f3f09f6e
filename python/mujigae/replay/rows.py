"""Rows of a buffer beside `sample`: by their keys, one after another, and as whole episodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mujigae.replay.arguments import as_bool, as_int
from mujigae.replay.batch import Batch, Episode, SequenceBatch
from mujigae.replay.priorities import PriorityAccess

__all__ = ["RowAccess"]


class RowAccess(PriorityAccess):
    """The part of a replay buffer that reads rows by name instead of by chance."""

    def draw(self, batch_size: int) -> tuple[Any, Any]:
        """Draws rows as `sample` does, without reading them: key [B] int64, probability [B] float64.

        `gather(key)` is then the batch that `sample` would have given. Batches that were prefetched are dropped.
        """
        key, probability = self._core.draw(batch_size)
        return key, probability

    def gather(self, key: Any, beta: float | None = None) -> Batch:
        """The rows of these keys [B] as `sample` gives them, with weights and probabilities of now.

        Raises IndexError for a key whose row was overwritten, was never issued, or has no complete n-step window.
        """
        return self._placement.placed(self._core.gather(key, self._exponent(beta)))

    def sample_sequences(
        self, batch_size: int, length: int, burn_in: int = 0, beta: float | None = None
    ) -> SequenceBatch:
        """Draws rows as `sample` does, and the sequence around each; see `SequenceBatch`.

        Args:
            batch_size: B, at least 1.
            length: rows from the drawn one on, at least 1.
            burn_in: rows before it, to warm a memory up (R2D2: 40 before 80).
            beta: as in `sample`.

        Every row that `sample` can draw can be drawn. Batches that were prefetched are dropped.
        """
        exponent = self._exponent(beta)
        return self._placement.placed_sequences(
            self._core.sample_sequences(batch_size, length, burn_in, exponent)
        )

    def next_key(self, key: Any) -> Any:
        """[B] int64: the key of the row after each in its episode; -1 where the episode ends or the row is not there yet.

        Raises IndexError for a key whose row was overwritten or was never issued.
        """
        return self._core.next_key(key)

    def last_key(self) -> Any:
        """[E] int64: the key of the row that each environment added last; -1 where none is held.

        For those who name rows in another way, as by their place in a list. With n_step > 1 such a row may have to wait
        before it can be gathered.
        """
        return self._core.last_key()

    def episodes(self, *, with_obs: bool = True) -> Iterator[Episode]:
        """All rows, episode by episode: closed ones first, by the number of their first row, then the open ones.

        Args:
            with_obs: False leaves out the observations, which are None then: for lengths, returns and keys, in much less time.

        The list of episodes is made when the iterator is; one of which rows are evicted before it is read is left out.
        """
        return self._read_episodes(self._core.episodes(), as_bool("with_obs", with_obs))

    def _read_episodes(self, listed: Iterable[Any], with_obs: bool) -> Iterator[Episode]:
        for env, first, count, is_open in listed:
            episode = self._read_episode(env, first, count, is_open, with_obs)
            if episode is not None:
                yield episode

    def episode(self, number: int) -> Episode:
        """One of `episodes()`, by its place there, from the end where negative; the others are not read.

        Raises IndexError where there is none, or its rows are evicted before they are read.
        """
        number, listed = as_int("number", number), self._core.episodes()
        if -len(listed) <= number < len(listed):
            env, first, count, is_open = listed[number]
            episode = self._read_episode(env, first, count, is_open, with_obs=True)
            if episode is not None:
                return episode
        raise IndexError(f"number: expected that of one of {len(listed)} episodes, got {number}")

    def _read_episode(
        self, env: int, first: int, count: int, is_open: bool, with_obs: bool
    ) -> Episode | None:
        """None where rows of it are gone."""
        found = self._core.read_episode(env, first, count, with_obs)
        if found is None:
            return None
        obs, action, reward, terminated, truncated, key, extras = found
        named = dict(zip((spec.name for spec in self._spec.extras), extras, strict=True))
        tree = self._spec.obs.unflatten(obs) if with_obs else None
        return Episode(env, tree, action, reward, terminated, truncated, named, key, is_open)

    def __iter__(self) -> Iterator[Episode]:
        """As `episodes`."""
        return self.episodes()
