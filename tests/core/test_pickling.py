"""Buffers cross into other processes: pickled as snapshots, copied by a fork."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import pickletools
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from streams import add_stacks, assert_same_batch, stacked_buffer, vector_buffer

import mujigae


def filled(impl: Any = mujigae, path: Path | None = None) -> Any:
    buffer = stacked_buffer(impl, capacity=30, n_step=3, num_envs=1, path=path)
    add_stacks(buffer, 50)
    buffer.update_priorities(buffer.sample(8).key, np.arange(8.0))
    return buffer


def draw_in_another_process(buffer: Any, answer: Any) -> None:
    batches = [buffer.sample(16) for _ in range(3)]
    add_stacks(buffer, 7)
    answer.put((*batches, buffer.sample(16)))


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_buffer_continues_in_another_process_and_ours_is_untouched(method: str) -> None:
    buffer, same = filled(), filled()
    context: Any = multiprocessing.get_context(method)
    answer = context.SimpleQueue()
    process = context.Process(target=draw_in_another_process, args=(buffer, answer))
    process.start()
    theirs = answer.get()
    process.join(timeout=60)
    assert process.exitcode == 0
    for batch in theirs[:3]:
        assert_same_batch(batch, buffer.sample(16))
    add_stacks(buffer, 7)
    assert_same_batch(theirs[3], buffer.sample(16))
    draws = [same.sample(16) for _ in range(3)]
    for batch, expected in zip(draws, theirs, strict=False):
        assert_same_batch(batch, expected)


def test_a_deep_copy_goes_its_own_way(impl: ModuleType) -> None:
    buffer = filled(impl)
    twin = copy.deepcopy(buffer)
    assert_same_batch(buffer.sample(16), twin.sample(16))
    twin.clear()
    assert (len(twin), len(buffer)) == (0, 30)


def test_a_pickle_calls_nothing_but_ours(tmp_path: Path) -> None:
    buffer = filled(path=tmp_path / "buffer")
    pickled = pickle.dumps(buffer, protocol=2)
    opcodes = list(pickletools.genops(pickled))
    called = {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"}
    assert called - {"_codecs encode"} == {
        "mujigae.replay.restoring from_pieces",
        "mujigae.replay.prioritized PrioritizedReplayBuffer",
    }
    loaded = pickle.loads(pickled)  # in memory, while the file is still open
    assert_same_batch(buffer.sample(16), loaded.sample(16))


def test_damaged_pickles_are_snapshot_errors() -> None:
    function, (cls, pieces, *place), _ = filled().__reduce_ex__(4)
    data = b"".join(pieces)
    with pytest.raises(mujigae.SnapshotError, match="checksum"):
        function(cls, [data[:-300] + bytes([data[-300] ^ 1]) + data[-299:]], *place)
    with pytest.raises(mujigae.SnapshotError, match="too short"):
        function(cls, [], *place)
    with pytest.raises(mujigae.SnapshotError, match="int is no ReplayBuffer"):
        function(int, pieces, *place)


class Counted(mujigae.ReplayBuffer):
    pass


class Named(mujigae.ReplayBuffer):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.notes = ["of mine"]


def test_attributes_of_a_subclass_come_along() -> None:
    buffer = Named(8, ((1,), np.float32), ((), np.int64), seed=0)
    for other in (pickle.loads(pickle.dumps(buffer)), copy.deepcopy(buffer)):
        assert other.notes == ["of mine"]
        other.notes.append("theirs")
    assert buffer.notes == ["of mine"]
    assert vars(vector_buffer(mujigae)).keys() == vars(buffer).keys() - {"notes"}


class Locked(mujigae.ReplayBuffer):
    """Keeps what cannot be pickled to itself, as the documentation of pickle has it."""

    def __init__(self) -> None:
        super().__init__(8, ((1,), np.float32), ((), np.int64), seed=0)
        self.lock, self.steps = threading.Lock(), 3

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.lock = threading.Lock()


def test_state_of_a_subclass_is_what_it_says() -> None:
    buffer = Locked()
    buffer.add(np.zeros(1, np.float32), 5, 0.0, np.zeros(1, np.float32), True, False)
    for other in (pickle.loads(pickle.dumps(buffer)), copy.deepcopy(buffer)):
        assert (other.steps, other.lock is not buffer.lock, len(other)) == (3, True, 1)
        assert other.sample(2).action.tolist() == [5, 5]


def test_subclasses_and_devices_come_back() -> None:
    pytest.importorskip("torch")
    buffer = Counted(8, ((1,), np.float32), ((), np.int64), device="cpu", seed=0)
    for t in range(5):
        buffer.add(np.array([t], np.float32), t, 0.0, np.array([t + 1], np.float32), False, False)
    loaded = pickle.loads(pickle.dumps(buffer))
    assert type(loaded) is Counted
    a, b = buffer.sample(4), loaded.sample(4)
    assert type(b.obs).__module__ == "torch"
    assert (a.obs == b.obs).all()
    assert type(vector_buffer(mujigae)) is mujigae.PrioritizedReplayBuffer
