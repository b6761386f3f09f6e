"""Child processes that hold a subject each."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from typing import IO, Any

from environments import ROOT, environment
from plan import Planned

NUM_THREADS = os.cpu_count() or 1


class Child:
    """bench/core/worker.py in the environment of a subject. Whatever goes wrong is an answer of status "failed"."""

    def __init__(self, planned: Planned, cache: Path, wheel: Path, pythons: dict[Any, Any]) -> None:
        self.log: IO[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.failure = ""
        try:
            key = (planned.packages, planned.over, planned.is_ours)
            if key not in pythons:
                pythons[key] = environment(
                    cache, planned.packages, wheel=wheel if planned.is_ours else None, over=planned.over
                )
            self._start(planned, pythons[key], cache)
        except (OSError, subprocess.CalledProcessError) as error:
            self.failure = f"environment: {error}"

    def _start(self, planned: Planned, python: Path, cache: Path) -> None:
        name = f"{planned.adapter}{json.dumps(planned.options)}"
        self.path = cache / "".join(letter if letter.isalnum() else "_" for letter in name)
        self.log = self.path.with_suffix(".log").open("wb")
        bench = ROOT / "bench"
        command = [str(python), str(bench / "core/worker.py"), planned.adapter, json.dumps(planned.options)]
        variables = {
            "PYTHONPATH": f"{bench / 'core'}:{bench / 'peers'}",
            "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": str(NUM_THREADS),
            "RL_LOGGING_LEVEL": "ERROR",
            "MUJIGAE_BENCH_CACHE": str(cache),
        }
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=cache,
            env=os.environ | variables,
        )

    def ask(self, request: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """The answer, or why there is none."""
        self.tell(request)
        return self.hear(timeout_seconds)

    def tell(self, request: dict[str, Any]) -> None:
        """Asks without waiting; `hear` has to follow."""
        if self.process is None or self.process.stdin is None or self.failure:
            return
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            self.failure = self._last_words(self.process)

    def hear(self, timeout_seconds: float) -> dict[str, Any]:
        """The answer to what was told."""
        process = self.process
        if process is None or process.stdout is None or self.failure:
            return {"status": "failed", "reason": self.failure}
        if not select.select([process.stdout], [], [], timeout_seconds)[0]:
            process.kill()
            self.failure = f"no answer within {timeout_seconds:.0f} seconds"
            return {"status": "failed", "reason": self.failure}
        line = process.stdout.readline()
        if not line:
            self.failure = self._last_words(process)
            return {"status": "failed", "reason": self.failure}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self, process: subprocess.Popen[bytes]) -> str:
        lines = self.path.with_suffix(".log").read_text(errors="replace").splitlines()
        return f"ended with status {process.wait()}: {' '.join(lines[-1:])}"

    def close(self) -> None:
        """Ends the process; its memory is free when this returns."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        if self.log is not None:
            self.log.close()
