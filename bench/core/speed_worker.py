"""A child process that holds one subject: python -m bench.core.speed_worker MODULE:CLASS OPTIONS

It reads one JSON request a line and answers one a line. `prepare` fills a structure, `time` runs an operation of it for one
visit, `record` writes the frames of the Atari stream. What libraries print goes to the error stream.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.core import sequences, stream, workloads
from bench.core.subject import NotOffered, Subject

Answer = dict[str, Any]


class Worker:
    """One subject, at most one filled structure, its operations as they are asked for."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.cache = Path(os.environ["MUJIGAE_BENCH_CACHE"])
        self.operations: dict[tuple[str, int], workloads.Operation] = {}
        self.work: Any = None

    def answer(self, request: Answer) -> Answer:
        """Of the method that `do` names, with the rest as arguments."""
        methods: dict[str, Callable[..., Answer]] = {
            "hello": self.hello,
            "prepare": self.prepare,
            "time": self.time,
            "record": self.record,
        }
        return methods[request.pop("do")](**request)

    def hello(self) -> Answer:
        subject = self.subject
        return {
            "name": subject.name,
            "version": subject.version,
            "python": sys.version.split()[0],
            "packages": {name: metadata.version(name) for name in subject.packages},
        }

    def prepare(self, work: str, capacity: int, **options: Any) -> Answer:
        """Fills the structure; says how many rows, how much the process grew by and what the library counts."""
        self.operations.clear()
        self.work = None
        self.work = self._made(work, capacity, **options)
        if not isinstance(self.work, workloads.ReplayWork):
            return {}
        counted = self.subject.bytes_of(self.work.replay)
        grown = self.work.resident_bytes
        return {"num_rows": self.work.num_rows, "resident_bytes": grown, "counted_bytes": counted}

    def _made(self, work: str, capacity: int, **options: Any) -> Any:
        if work == "sequences":
            return sequences.SequenceWork(self.subject, capacity)
        if work in ("vector", "vector uniform"):
            return workloads.vector(self.subject, capacity, is_prioritized=work == "vector")
        if hasattr(self.subject, "floor"):
            return workloads.FloorWork(self.subject, options["floor_bytes"])
        if work == "tree":
            return workloads.TreeWork(self.subject, capacity)
        if work == "uniform":
            return workloads.uniform(self.subject, capacity)
        path = self.cache / f"frames-{options['recorded_steps']}.npy"
        frames = stream.AtariStream(path, options.get("game"))
        frames.repeats_first = self.subject.repeats_first
        if work.startswith("add"):
            return workloads.AddWork(self.subject, frames, capacity, options["num_envs"], work)
        return workloads.atari(self.subject, frames, min(capacity, len(frames)))

    def time(self, operation: str, batch_size: int, seconds: float, num_threads: int) -> Answer:
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(num_threads)
        key = (operation, batch_size)
        if key not in self.operations:
            self.operations[key] = self.work.operation(operation, batch_size)
        return {"num_threads": num_threads, **workloads.measured(self.operations[key], seconds)}

    def record(self, num_steps: int) -> Answer:
        """Makes the recording when there is none yet."""
        path = self.cache / f"frames-{num_steps}.npy"
        if not path.exists():
            stream.record(path, num_steps)
        return {"games": list(stream.GAMES)}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    module, _, name = sys.argv[1].partition(":")
    worker: Worker | None = None
    for line in sys.stdin:
        try:
            if worker is None:
                worker = Worker(getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2])))
            answer = {"status": "ok", **worker.answer(json.loads(line))}
        except NotOffered as what:
            answer = {"status": "not offered", "reason": str(what)}
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {str(error) or place.line}"
            answer = {"status": "failed", "reason": f"{said} ({Path(place.filename).name}:{place.lineno})"}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
