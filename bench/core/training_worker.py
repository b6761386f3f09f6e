"""A child process that trains with one library: python -m bench.core.training_worker MODULE:CLASS OPTIONS

CLASS has `name`, `version`, `packages`, and `train(gate, seed, learning_starts, capacity, **switches)`

The adapter runs the library's own training loop, which passes a gate after every step. The gate reads one JSON request a line and
answers one a line: `hello`; `warm` lets the loop run until a number of updates are done; `time` lets it run for some seconds and
tells how many steps and updates they held. In between the loop waits. What libraries print goes to the error stream.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

Answer = dict[str, Any]


class Gate:
    """Counts agent steps as the loop reports them, and updates as any optimizer of torch takes them."""

    def __init__(
        self, requests: TextIO, answers: TextIO, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._requests, self._answers, self._clock = requests, answers, clock
        self.steps = self.updates = 0
        self._is_over: Callable[[], bool] = lambda: True

    def count_update(self, *_: Any) -> None:
        """A hook for optimizers."""
        self.updates += 1

    def passed(self, num_steps: int) -> None:
        """Called by the loop after `num_steps` more agent steps; returns when it may go on."""
        self.steps += num_steps
        if self._is_over():
            elapsed = self._clock() - self._began
            steps, updates = self.steps - self._steps_before, self.updates - self._updates_before
            cpu = time.process_time() - self._cpu_before
            told = {"seconds": elapsed, "cpu_seconds": cpu, "steps": steps, "updates": updates}
            self.answer({"status": "ok", **told})
            self.wait()

    def wait(self) -> None:
        """Until somebody asks; the clock starts then."""
        line = self._requests.readline()
        if not line:
            os._exit(0)  # whoever asked is gone; the library may have threads that would not end
        request = json.loads(line)
        self._steps_before, self._updates_before = self.steps, self.updates
        self._cpu_before = time.process_time()
        self._began = self._clock()
        self._is_over = self._end_of(request)

    def _end_of(self, request: Answer) -> Callable[[], bool]:
        if request["do"] == "warm":
            wanted = self.updates + request["updates"]
            return lambda: self.updates >= wanted
        ends = self._began + request["seconds"]
        return lambda: self._clock() >= ends

    def answer(self, answer: Answer) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)


def hello(adapter: Any) -> Answer:
    """Who trains."""
    return {
        "status": "ok",
        "name": adapter.name,
        "version": adapter.version,
        "python": sys.version.split()[0],
        "packages": {name: metadata.version(name) for name in adapter.packages},
    }


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    gate = Gate(sys.stdin, answers)
    try:
        sys.stdin.readline()  # hello
        module, _, name = sys.argv[1].partition(":")
        adapter = getattr(importlib.import_module(module), name)()
        importlib.import_module("torch").set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        optimizers = importlib.import_module("torch.optim.optimizer")
        optimizers.register_optimizer_step_post_hook(gate.count_update)
        gate.answer(hello(adapter))
        gate.wait()
        adapter.train(gate, **json.loads(sys.argv[2]))
        gate.answer({"status": "failed", "reason": "the training loop ended"})
    except Exception as error:
        traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {str(error) or place.line}"
        gate.answer({"status": "failed", "reason": f"{said} ({Path(place.filename).name}:{place.lineno})"})


if __name__ == "__main__":
    main()
