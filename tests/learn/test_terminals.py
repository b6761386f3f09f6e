"""What a run shows in terminals of any encoding, in none, and where the reader has left: it goes on."""

from __future__ import annotations

import io
from typing import Any

import pytest
from test_log import training_of

from mujigae.runs.display import Display
from mujigae.training.loop import run


class Terminal(io.TextIOWrapper):
    """80 columns of the given encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True


def train_before(stream: Any, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    training = training_of()
    with Display(training, stream) as display:
        for progress in run(training):
            display.show(progress, {"loss": 0.5})
    assert training.counters.steps == 100


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8", "utf-16", "cp437", "koi8-r", "shift_jis"])
@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_bar_is_drawn_in_a_terminal_of_any_encoding_and_width(
    encoding: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(encoding)
    train_before(terminal, columns, monkeypatch)
    shown = terminal.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert "100%" in shown or columns == "20"
    assert encoding not in ("ascii", "latin-1") or shown.isascii()


class Stream(io.StringIO):
    """Answers every call with the error, where one is given."""

    error: Exception | None = None

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)

    def flush(self) -> None:
        if self.error is not None:
            raise self.error

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(5, "gone"), ValueError("closed file"), None], ids=repr
)
def test_training_goes_on_without_its_terminal(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream()
    stream.error = error
    train_before(stream, "80", monkeypatch)


def test_training_goes_on_where_there_is_no_stream_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    train_before(None, "80", monkeypatch)


@pytest.mark.parametrize("encoding", [None, "no-such-encoding", ""])
def test_stream_that_does_not_know_its_encoding_gets_ascii(
    encoding: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream: Any = Stream()
    monkeypatch.setattr(Stream, "encoding", encoding, raising=False)
    train_before(stream, "80", monkeypatch)
    assert stream.getvalue().isascii()
