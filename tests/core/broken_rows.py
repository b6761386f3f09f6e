"""Buffers with one fault each, in how they name rows, order them, and put sequences together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mujigae.conformance import Batch, Config, Episode, SequenceBatch
from mujigae.conformance.ours import Mujigae


class DrawsInAnotherOrder(Mujigae):
    """The keys that it draws are not in the order of `sample`."""

    def draw(self, batch_size: int) -> tuple[Any, Any]:
        key, probability = super().draw(batch_size)
        return key[::-1].copy(), probability


class GathersWhateverItDraws(Mujigae):
    """The rows that it gathers are none of those named."""

    def gather(self, key: Any) -> Batch:
        return super().sample(len(key))


class GathersOthersForStaleKeys(Mujigae):
    """A key without a row gets another row."""

    def gather(self, key: Any) -> Batch:
        try:
            return super().gather(key)
        except IndexError:
            return super().sample(len(key))


class WalksAcrossEpisodes(Mujigae):
    """After the last row of an episode comes the first of the next one."""

    def next_key(self, key: Any) -> Any:
        following = super().next_key(key)
        held = self.buffer.sample(512).key
        return np.where((following < 0) & np.isin(key + 1, held), key + 1, following)


class FollowsTheNewestRowByItself(Mujigae):
    """The row after the last one is the last one."""

    def next_key(self, key: Any) -> Any:
        following = super().next_key(key)
        return np.where(following < 0, key, following)


class ForgetsTheLastRowOfAnEpisode(Mujigae):
    """Episodes are one row too short."""

    def episodes(self) -> Iterable[Episode]:
        for one in super().episodes():
            if len(one.reward) > 1:
                columns = {name: getattr(one, name)[:-1] for name in ("obs", "action", "reward", "key")}
                ends = {name: getattr(one, name)[:-1] for name in ("terminated", "truncated")}
                yield one._replace(**columns, **ends)


class BeginsWithTheNewestEpisode(Mujigae):
    """The order of episodes is reversed."""

    def episodes(self) -> Iterable[Episode]:
        yield from list(super().episodes())[::-1]


class TakesOpenEpisodesForClosed(Mujigae):
    """Every episode has ended."""

    def episodes(self) -> Iterable[Episode]:
        for one in super().episodes():
            yield one._replace(is_open=False)


class IgnoresFirstPriorities(Mujigae):
    """New rows get the same priority, whatever comes with them."""

    def add_with(self, step: tuple[Any, ...], env_ids: Any, priority: Any, extras: Any) -> None:
        is_valid = np.isfinite(priority) & (priority > 0)
        super().add_with(step, env_ids, np.where(is_valid, 1.0, priority), extras)


class ForgetsFirstPriorities(Mujigae):
    """Priorities that come with a row do not count for the largest so far."""

    def add_with(self, step: tuple[Any, ...], env_ids: Any, priority: Any, extras: Any) -> None:
        super().add_with(step, env_ids, None, extras)
        if priority is not None:
            newest = self.buffer.next_key([self.newest]) if hasattr(self, "newest") else [0]
            self.newest = int(newest[0])
            self.buffer.update_priorities([self.newest], priority)

    def add(self, *step: Any, **env_ids: Any) -> None:
        super().add(*step, **env_ids)
        self.buffer.update_priorities(self.buffer.next_key([self.newest]), [1.0])


class MixesExtras(Mujigae):
    """A row's extras are those of its neighbour in the batch."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        mixed = {name: np.roll(values, 1, axis=0) for name, values in batch.extras.items()}
        return batch._replace(extras=mixed)


class SaysThatDrawsAreUniform(Mujigae):
    """The probability is 1 / N, whatever the priorities."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(probability=np.full(batch_size, 1 / len(self.buffer)))


class MasksNothing(Mujigae):
    """Every row of a sequence is there, also beyond its episode."""

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> SequenceBatch:
        batch = super().sample_sequences(batch_size, length, burn_in)
        return batch._replace(mask=np.ones_like(batch.mask))


class MarksNoFirstRow(Mujigae):
    """A memory is never reset."""

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> SequenceBatch:
        batch = super().sample_sequences(batch_size, length, burn_in)
        return batch._replace(is_first=np.zeros_like(batch.is_first))


class StopsBeforeTheNewestRow(Mujigae):
    """The last row of every sequence is masked."""

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> SequenceBatch:
        batch = super().sample_sequences(batch_size, length, burn_in)
        mask = batch.mask.copy()
        last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
        mask[np.arange(batch_size), np.maximum(last, burn_in + 1) % mask.shape[1]] = False
        return batch._replace(mask=mask)


class DrawsCompleteSequencesOnly(Mujigae):
    """Rows near the end of an episode begin no sequence."""

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> SequenceBatch:
        batch = super().sample_sequences(50 * batch_size, length, burn_in)
        rows = np.resize(np.flatnonzero(batch.mask[:, burn_in:].all(axis=1)), batch_size)
        fields = [np.ascontiguousarray(field[rows]) for field in batch[:9]]
        return SequenceBatch(*fields, extras=batch.extras)


class NamesTheFirstRowOfASequence(Mujigae):
    """Key and probability are those of the row with which the burn-in begins."""

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> SequenceBatch:
        batch = super().sample_sequences(batch_size, length, burn_in)
        return batch._replace(probability=np.roll(batch.probability, 1), key=np.roll(batch.key, 1))


class DrawsSequencesUniformly(Mujigae):
    """Sequences begin anywhere, whatever the priorities."""

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> SequenceBatch:
        batch = super().sample_sequences(batch_size, length, burn_in)
        rows = np.random.default_rng(0).choice(np.unique(batch.key, return_index=True)[1], batch_size)
        fields = [np.ascontiguousarray(field[rows]) for field in batch[:9]]
        return SequenceBatch(*fields, extras=batch.extras)


class LosesExtrasOfAnOption(Mujigae):
    """With another option, extras are zeros."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.is_wrong = {"n_step", "extras"} <= config.options()

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        if not self.is_wrong:
            return batch
        return batch._replace(extras={name: values * 0 for name, values in batch.extras.items()})
