"""Several shards in one process behind the interface of one buffer: what the conformance suite examines.

    python -m mujigae.conformance --adapter mujigae.distributed.sharded:Sharded

Everything that is added goes through a `Sender` for each lane and a wire that loses calls and answers, repeats chunks and
delivers them out of order; everything that is drawn is drawn in the shards, by their shares. A key is (key in the shard) x
(number of shards) + shard.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mujigae.conformance.adapter import OPTIONS, Batch, Config, NotOffered
from mujigae.conformance.ours import Mujigae
from mujigae.distributed.chunk import Chunk, Step, encode
from mujigae.distributed.sender import Sender
from mujigae.distributed.shard import Answer, Shard
from mujigae.distributed.shares import Shares, split, weights_of
from mujigae.structures import map_arrays

__all__ = ["BadWire", "Sharded"]


class BadWire:
    """Between a sender and a shard: of ten calls one is lost, one is lost on its way back, one comes twice, one too late."""

    def __init__(self, shard: Shard, seed: int) -> None:
        self.shard, self._random = shard, random.Random(seed)
        self._late: list[Chunk] = []

    def call(self, chunk: Chunk) -> Answer | None:
        """The shard's answer; None: nobody knows what became of it."""
        fate = self._random.choice(["lost", "answer lost", "twice", "late", *["fine"] * 6])
        if fate == "lost":
            return None
        if fate == "late":
            self._late.append(chunk)
            return None
        if fate == "twice":
            self.shard.add(chunk)
        answer = self.shard.add(chunk)
        while self._late:
            self.shard.add(self._late.pop())
        return None if fate == "answer lost" else answer


class Sharded(Mujigae):
    """Up to `num_shards` shards, at least one lane each; lane e is lane e // k of shard e % k."""

    name = "mujigae (shards)"
    offers = (OPTIONS - {"replacement", "rank_based", "uniform_share", "stratified"}) | {"env_ids"}
    num_shards: ClassVar[int] = 3

    def __init__(self, config: Config) -> None:
        self._config = config
        self._k = k = min(self.num_shards, config.num_envs)
        self._folder, self._process = Path(tempfile.mkdtemp(prefix="shards-")), os.getpid()
        self._rng = np.random.default_rng(config.seed)
        lanes = [len(range(s, config.num_envs, k)) for s in range(k)]
        self._shards = [self._open(s, lanes[s]) for s in range(k)]
        self._shares = Shares(k)
        self._senders: dict[int, Sender] = {}
        self._wires = [BadWire(shard, s) for s, shard in enumerate(self._shards)]
        self._largest = 1.0

    def __del__(self) -> None:
        """The files go with it."""
        if self.__dict__.get("_process") != os.getpid():
            return
        for shard in self.__dict__.get("_shards", []):
            shard.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _open(self, number: int, num_lanes: int) -> Shard:
        config = self._config
        rows = [
            config.capacity // config.num_envs + (e < config.capacity % config.num_envs)
            for e in range(number, config.num_envs, self._k)
        ]

        def make(path: Path) -> Any:
            seed = None if config.seed is None else config.seed + 1000 * number
            changed = {"capacity": sum(rows), "num_envs": num_lanes, "seed": seed}
            one = type("One", (Mujigae,), {"arguments": {"path": path}})
            return one(Config(**{**vars(config), **changed})).buffer

        return Shard.open(self._folder / str(number), make)

    def add(self, *step: Any) -> None:
        self.add_with(step[:6], step[6] if len(step) > 6 else None, None, None)

    def extend(self, *steps: Any) -> None:
        for t in range(len(steps[2])):
            self.add_with(
                tuple(map_arrays(lambda array, t=t: array[t : t + 1], part) for part in steps),
                None,
                None,
                None,
            )

    def add_with(self, step: tuple[Any, ...], env_ids: Any, priority: Any, extras: Any) -> None:
        lanes = np.arange(self._config.num_envs) if env_ids is None else np.asarray(env_ids)
        if lanes.ndim != 1 or len(set(lanes.tolist())) != len(lanes) or not (lanes >= 0).all():
            raise ValueError(f"env_ids: expected each environment once, got {env_ids}")
        if priority is None and self._config.prioritized:
            priority = np.full(len(lanes), self._largest)
        for i, lane in enumerate(lanes.tolist()):
            one = slice(i, i + 1)
            row: Any = [
                map_arrays(lambda array, one=one: np.array(np.asarray(array)[one]), part) for part in step
            ]
            more = None if extras is None else {name: np.array(value[one]) for name, value in extras.items()}
            first = None if priority is None else np.array(priority[one], np.float64)
            ids = np.array([lane // self._k])
            self._send(lane, Step._make((ids, *row, first, more)))
        if priority is not None:
            self._largest = max(self._largest, float(np.max(priority)))

    def _send(self, lane: int, step: Step) -> None:
        shard = self._shards[lane % self._k]
        sender = self._senders.setdefault(lane, Sender(lane, 1, shard.standing(lane)))
        sender.put(encode([step], shard.buffer._spec.obs))
        while not sender.is_done:
            chunk = sender.next()
            assert chunk is not None
            try:
                answer = self._wires[lane % self._k].call(chunk)
            except Exception:
                sender.answered(chunk.sequence, None)
                self._send_again(lane)
                raise
            sender.answered(chunk.sequence, answer)

    def _send_again(self, lane: int) -> None:
        """After a chunk that was refused: it is not asked for again."""
        sender, shard = self._senders[lane], self._shards[lane % self._k]
        while (chunk := sender.next()) is not None:
            sender.answered(chunk.sequence, shard.add(chunk))

    def sample(self, batch_size: int) -> Batch:
        self._shares.known = [shard.share() for shard in self._shards]
        if self._shares.num_rows == 0 or batch_size < 1:
            raise ValueError("sample: expected a batch of at least 1 row, and one that can be drawn")
        counts = split(batch_size, self._shares.chances(), self._rng)
        pulled = [shard.pull(n) if n else None for shard, n in zip(self._shards, counts, strict=True)]
        return self._joined([(s, part.batch) for s, part in enumerate(pulled) if part is not None])

    def _joined(self, parts: list[tuple[int, Batch]]) -> Batch:
        """One batch of those of several shards."""
        fields: Any = [
            map_arrays(lambda *arrays: np.concatenate(arrays), *values)
            for values in zip(*(batch[:6] for _, batch in parts), strict=True)
        ]
        key = np.concatenate([batch.key * self._k + s for s, batch in parts])
        probability = np.concatenate([self._shares.probability(s, batch.probability) for s, batch in parts])
        weight = np.ones(len(key), np.float32)
        if self._config.prioritized:
            weight = weights_of(probability, self._config.beta)
        extras = map_arrays(lambda *arrays: np.concatenate(arrays), *(batch.extras for _, batch in parts))
        return Batch._make((*fields, weight, key, probability, extras))

    def update_priorities(self, key: Any, priorities: Any) -> None:
        key, priorities = np.asarray(key), np.asarray(priorities, np.float64)
        if key.dtype.kind not in "iu" or not (np.isfinite(priorities) & (priorities >= 0)).all():
            raise ValueError("update_priorities: expected integer keys, and finite priorities of at least 0")
        for s, shard in enumerate(self._shards):
            mine = key % self._k == s
            if mine.any():
                shard.update(shard.incarnation, key[mine] // self._k, priorities[mine])
        self._largest = max(self._largest, float(priorities.max(initial=0.0)))

    def draw(self, batch_size: int) -> tuple[Any, Any]:
        raise NotOffered("draws without reading")

    def gather(self, key: Any) -> Batch:
        """The rows of each shard in one call, put in the order of the keys."""
        key = np.asarray(key)
        self._shares.known = [shard.share() for shard in self._shards]
        parts, places = [], []
        for s, shard in enumerate(self._shards):
            mine = np.flatnonzero(key % self._k == s)
            if len(mine):
                parts.append((s, shard.buffer.gather(key[mine] // self._k)))
                places.append(mine)
        order = np.argsort(np.concatenate(places), kind="stable")
        fields: Any = (map_arrays(lambda array: array[order], field) for field in self._joined(parts))
        return Batch(*fields)

    def next_key(self, key: Any) -> Any:
        key = np.asarray(key)
        after = np.empty_like(key)
        for s, shard in enumerate(self._shards):
            mine = key % self._k == s
            found = shard.buffer.next_key(key[mine] // self._k)
            after[mine] = np.where(found >= 0, found * self._k + s, -1)
        return after

    def episodes(self) -> Any:
        raise NotOffered("rows by episodes over shards")

    def sample_sequences(self, batch_size: int, length: int, burn_in: int) -> Any:
        raise NotOffered("sequences over shards")

    def clear(self) -> None:
        raise NotOffered("clear")

    def save(self, path: Path) -> None:
        raise NotOffered("save and load")

    def pickled(self) -> Any:
        raise NotOffered("pickle")

    @property
    def nbytes(self) -> int:
        return sum(shard.buffer.nbytes for shard in self._shards)

    @classmethod
    def tree(cls, capacity: int) -> Any:
        raise NotOffered("a sum tree on its own")
