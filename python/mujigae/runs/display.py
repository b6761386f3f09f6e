"""What a person sees while a run trains: a live bar in a terminal, else a plain line every ten seconds."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from mujigae.errors import require
from mujigae.runs.log import Row
from mujigae.training.loop import Progress, Training

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Display", "describe", "human_bytes", "human_time", "say", "seconds_left"]

PLAIN_PERIOD_SECONDS = 10.0


class Display:
    """A context manager; `show` takes every Progress, with the row of progress.csv where one was closed."""

    def __init__(self, training: Training, stream: TextIO | None = None) -> None:
        self._training = training
        self._stream: Any = _Tolerant(sys.stdout if stream is None else stream)
        self._start = (training.counters.steps, training.counters.seconds)
        self._row: Row = {}
        self._bar: Any = _bar(self._stream) if self._stream.isatty() else None
        self._shown_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self._training.config.budget.steps, text="")
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: Progress, row: Row | None) -> None:
        """Draws what has changed, at most as often as an eye can follow."""
        self._row = row or self._row
        period = 0.2 if self._bar is not None else PLAIN_PERIOD_SECONDS
        now = time.monotonic()
        if now - self._shown_at < period and not (progress.is_checkpoint or progress.is_last):
            return
        self._shown_at = now
        text = describe(self._training, progress, self._row, self._start)
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.step, text=text)
        else:
            self._print(text)

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def say(text: str) -> None:
    """One line to stdout, whatever becomes of it."""
    print(text, file=_Tolerant(sys.stdout), flush=True)


class _Tolerant:
    """A text stream that training goes on with whatever becomes of it; it has what rich and `print` ask a stream for.

    Characters that its encoding lacks are written as "?". A reader that has left (`| head`), a terminal that was closed and
    a stream that never was (sys.stdout is None in a daemon) lose what is written.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "ascii"

    def write(self, text: str) -> int:
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):  # ValueError: closed
                self._stream.write(self._encodable(text))
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    def isatty(self) -> bool:
        if self._stream is None:
            return False
        with contextlib.suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError("there is no stream")
        return self._stream.fileno()

    def _encodable(self, text: str) -> str:
        try:
            return text.encode(self.encoding, "replace").decode(self.encoding)
        except LookupError:  # an encoding that Python does not know
            return text.encode("ascii", "replace").decode()


def describe(training: Training, progress: Progress, row: Row, start: tuple[int, float]) -> str:
    """One line: steps, speed, return, loss, the agent's scalars, buffer memory, time left."""
    scores = list(training.counters.recent_scores)[-20:]
    score = f"{sum(scores) / len(scores):.1f}" if scores else "-"
    scalars = {name: value for name, value in training.scalars().items() if value is not None}
    has_loss = "loss" in training.agent.metrics
    left = seconds_left(training, progress, start)
    parts = [
        f"step {progress.step:,}/{training.config.budget.steps:,}",
        f"{steps_per_second(progress, start):,.0f} steps/s",
        f"return {score} (last {len(scores)} of {training.counters.episodes})",
        *(["loss " + ("-" if row.get("loss") is None else f"{row['loss']:.4g}")] if has_loss else []),
        *(
            f"{name} {value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{name} {value:.2g}"
            for name, value in scalars.items()
        ),
        f"replay {human_bytes(training.buffer.nbytes)}",
        f"left {human_time(left)}",
    ]
    return "  ".join(parts)


def steps_per_second(progress: Progress, start: tuple[int, float]) -> float:
    """Mean speed since this process began to train."""
    start_step, start_seconds = start
    return (progress.step - start_step) / max(progress.seconds - start_seconds, 1e-9)


def seconds_left(training: Training, progress: Progress, start: tuple[int, float]) -> float:
    """Until the first budget is used up, at the mean speed so far; infinite where nothing is known."""
    budget = training.config.budget
    speed = steps_per_second(progress, start)
    by_steps = (budget.steps - progress.step) / speed if speed > 0 else math.inf
    by_minutes = math.inf if budget.minutes is None else 60 * budget.minutes - progress.seconds
    return max(0.0, min(by_steps, by_minutes))


def human_bytes(num_bytes: float) -> str:
    """1,234,567 -> 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 999.5:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"


def human_time(seconds: float) -> str:
    """3725 -> 1:02:05."""
    if math.isinf(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _bar(stream: Any) -> Any:
    """In ASCII where the stream's encoding is no Unicode: rich draws the bar so, and text is cut without an ellipsis."""
    progress, console = require("rich.progress", "train"), require("rich.console", "train")
    table = require("rich.table", "train")
    columns = [
        progress.BarColumn(bar_width=20),
        progress.TaskProgressColumn(table_column=table.Column(no_wrap=True, min_width=4, overflow="crop")),
        progress.TextColumn("{task.fields[text]}", table_column=table.Column(no_wrap=True, overflow="crop")),
    ]
    return progress.Progress(*columns, console=console.Console(file=stream), refresh_per_second=5)
