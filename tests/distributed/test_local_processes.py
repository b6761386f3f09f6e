"""Servers in processes of this machine: they answer, die, are started again, and end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mujigae.distributed import local_calls
from mujigae.distributed.calls import CallRefusedError, CannotStartError, NoAnswerError, ServerDiedError
from mujigae.distributed.local_processes import LocalProcesses, local_processes
from mujigae.errors import MujigaeError

SECONDS = 60.0


class Counter:
    """A server for tests."""

    def __init__(self, first: int = 0, other: Any = None, calls: Any = None) -> None:
        if first < 0:
            raise ValueError(f"first: expected at least 0, got {first}")
        self._count, self._other, self._calls = first, other, calls

    def add(self, number: int) -> int:
        self._count += number
        return self._count

    def of_other(self, number: int) -> Any:
        return self._calls.answer(self._calls.call(self._other, "add", number), SECONDS)

    def sum_of(self, reference: Any) -> float:
        return float(self._calls.get(reference, SECONDS).sum())

    def rest(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def echo(self, value: Any) -> Any:
        return value

    def process(self) -> int:
        print("not for the user's terminal")
        return os.getpid()

    def fail(self) -> None:
        raise KeyError("nothing of this name")

    def close(self) -> None:
        """Nothing to close."""


class Witness(Counter):
    """Leaves a file when it is closed."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        Path(self._path).write_text("closed")


@pytest.fixture(scope="module")
def processes() -> Iterator[LocalProcesses]:
    with local_processes() as made:
        yield made


@pytest.fixture(scope="module")
def counter(processes: LocalProcesses) -> Any:
    return processes.start("counter", Counter, 5)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder in which sockets can be: those of pytest have long names."""
    with tempfile.TemporaryDirectory(prefix="short-") as folder:
        yield Path(folder)


def ask(processes: Any, server: Any, method: str, *arguments: Any) -> Any:
    return processes.answer(processes.call(server, method, *arguments), SECONDS)


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """A process that has ended and was not waited for counts as one that has ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_calls_are_made_in_the_order_in_which_they_were_begun(processes: Any, counter: Any) -> None:
    before = ask(processes, counter, "add", 0)
    calls = [processes.call(counter, "add", 1) for _ in range(50)]
    over = processes.wait(calls, len(calls), SECONDS)
    assert over == calls
    assert [processes.answer(call, 0.0) for call in calls] == [*range(before + 1, before + 51)]


def test_answers_that_nobody_waits_for_do_not_stop_the_calls(processes: Any, counter: Any) -> None:
    """More of them, and of the calls, than sockets hold."""
    before = ask(processes, counter, "add", 0)
    calls = [processes.call(counter, "echo", bytes(1000)) for _ in range(2000)]
    for _ in range(2000):
        processes.call(counter, "add", 1)
    assert all(processes.answer(call, SECONDS) == bytes(1000) for call in calls)
    assert ask(processes, counter, "add", 0) == before + 2000


def test_wait_returns_what_is_over_when_the_time_is(processes: Any, counter: Any) -> None:
    ask(processes, counter, "add", 0)
    quick, slow = processes.call(counter, "add", 0), processes.call(counter, "rest", 0.5)
    assert processes.wait([quick, slow], 1, SECONDS) == [quick]
    assert processes.wait([slow], 1, 0.0) == []
    with pytest.raises(NoAnswerError, match=r"expected an answer within 0\.01 seconds, got none"):
        processes.answer(slow, 0.01)
    assert processes.answer(slow, SECONDS) == 0.5


def test_large_arrays_go_there_and_back(processes: Any, counter: Any) -> None:
    array = np.random.default_rng(0).integers(0, 255, (3, 1000, 1000), dtype=np.uint8)
    assert np.array_equal(ask(processes, counter, "echo", array), array)


def test_what_a_method_raises_is_told_and_the_server_goes_on(processes: Any, counter: Any) -> None:
    with pytest.raises(CallRefusedError, match="nothing of this name"):
        ask(processes, counter, "fail")
    assert ask(processes, counter, "echo", "still there") == "still there"


def test_servers_call_each_other_and_read_what_was_put(processes: Any, counter: Any) -> None:
    caller = processes.start("caller", Counter, 0, counter, processes)
    before = ask(processes, counter, "add", 0)
    assert ask(processes, caller, "of_other", 2) == before + 2
    values = np.arange(1000.0)
    assert ask(processes, caller, "sum_of", processes.put(values)) == values.sum()


@pytest.mark.parametrize("lacking", [False, True])
def test_what_was_put_is_there_until_nobody_asks_for_it(
    lacking: bool, processes: Any, counter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system has no memory to share."""
    if lacking:
        monkeypatch.setattr(local_calls.SharedMemory, "make", lambda num_bytes: None)
    reader = processes.start("reader", Counter, 0, counter, processes)
    ask(processes, reader, "add", 0)
    num_open = len(os.listdir("/proc/self/fd"))
    call = processes.call(reader, "sum_of", processes.put(np.ones(10)))  # nothing else holds it
    assert processes.answer(call, SECONDS) == 10.0
    assert len(os.listdir("/proc/self/fd")) == num_open


def test_killed_server_begins_anew_and_calls_that_were_under_way_fail(processes: Any) -> None:
    server = processes.start("mortal", Counter, 7)
    process = ask(processes, server, "process")
    assert ask(processes, server, "add", 1) == 8
    calls = [processes.call(server, "rest", 30.0), processes.call(server, "add", 1)]
    time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    for call in calls:
        with pytest.raises(ServerDiedError):
            processes.answer(call, SECONDS)
    until(lambda: not is_running(process))
    assert ask(processes, server, "add", 0) == 7
    assert ask(processes, server, "process") != process


def test_calls_to_a_server_that_starts_again_wait_for_it(processes: Any, counter: Any) -> None:
    """Those of other servers too, who cannot start it: whoever waits here does."""
    mortal = processes.start("mortal", Counter, 0)
    caller = processes.start("caller", Counter, 0, mortal, processes)
    assert ask(processes, caller, "of_other", 0) == 0
    process = ask(processes, mortal, "process")
    os.kill(process, signal.SIGKILL)
    until(lambda: not is_running(process))
    assert ask(processes, caller, "of_other", 2) == 2


def test_server_that_dies_before_it_listens_is_started_again_while_somebody_waits(processes: Any) -> None:
    server = processes.start("early", Counter, 3)
    call = processes.call(server, "add", 1)
    processes._started[server].process.kill()
    assert processes.answer(call, SECONDS) == 4


def test_signals_while_a_server_starts_do_not_end_it(processes: Any) -> None:
    server = processes.start("early", Counter, 3)
    first = processes._started[server].process.pid
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(first, number)
    assert ask(processes, server, "process") == first


def test_server_that_cannot_be_made_says_why_to_every_call(processes: Any) -> None:
    server = processes.start("broken", Counter, -1)
    for _ in range(2):
        with pytest.raises(CannotStartError, match="first: expected at least 0, got -1"):
            ask(processes, server, "add", 1)


def test_server_of_the_same_name_takes_the_place_of_the_one_before(processes: Any) -> None:
    first = processes.start("one", Counter, 1)
    process = ask(processes, first, "process")
    second = processes.start("one", Counter, 2)
    assert not is_running(process)
    assert ask(processes, second, "add", 0) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_whole_group_are_left_to_the_process_that_started_it(
    number: int, processes: Any, counter: Any
) -> None:
    process = ask(processes, counter, "process")
    os.kill(process, number)
    assert ask(processes, counter, "process") == process


def test_nothing_is_left_at_the_end(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_path))
    with local_processes() as processes:
        server = processes.start("counter", Counter)
        process = ask(processes, server, "process")
        assert [*short_path.iterdir()]
    assert not is_running(process)
    assert [*short_path.iterdir()] == []


RUN = """
import sys, time
from mujigae.distributed.local_processes import local_processes
from tests.distributed.test_local_processes import Counter, Witness

if __name__ == "__main__":
    with local_processes() as processes:
        witness = processes.start("witness", Witness, sys.argv[1])
        busy = processes.start("busy", Counter, 0, witness, processes)
        for server in (witness, busy):
            print(processes.answer(processes.call(server, "process"), 60.0), flush=True)
        processes.call(busy, "rest", 0.5)
        time.sleep(100)
"""


def test_servers_close_and_end_when_the_process_that_started_them_is_killed(short_path: Path) -> None:
    script, mark = short_path / "run.py", short_path / "mark"
    script.write_text(RUN)
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    run = subprocess.Popen(
        [sys.executable, str(script), str(mark)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths, "TMPDIR": str(short_path)},
    )
    with run:
        assert run.stdout is not None
        servers = [int(run.stdout.readline()) for _ in range(2)]
        run.kill()
    until(lambda: not any(is_running(process) for process in servers))
    assert mark.read_text() == "closed"


def test_message_that_nobody_takes_breaks_the_line_in_the_end(
    processes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped, for example."""
    monkeypatch.setattr(local_calls, "MESSAGE_SECONDS", 1)
    server = processes.start("stopped", Counter)
    process = ask(processes, server, "process")
    os.kill(process, signal.SIGSTOP)
    try:
        call = processes.call(server, "echo", bytes(10**7))
        with pytest.raises(ServerDiedError):
            processes.answer(call, SECONDS)
    finally:
        os.kill(process, signal.SIGCONT)
    assert ask(processes, server, "add", 1) == 1


def test_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    processes = LocalProcesses(tmp_path / ("long" * 30))
    with pytest.raises(MujigaeError, match="TMPDIR: expected a shorter path"):
        processes.start("counter", Counter)
