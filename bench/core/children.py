"""Child processes that hold a subject each."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from typing import IO, Any

from bench.core.environments import ROOT, environment
from bench.core.speed_plan import Planned

NUM_THREADS = os.cpu_count() or 1


class Child:
    """A worker that reads one JSON request a line and answers one a line. Whatever goes wrong is an answer of status "failed"."""

    def __init__(self) -> None:
        self.log: IO[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.failure = ""

    def start(self, python: Path, arguments: list[str], cache: Path, variables: dict[str, str]) -> None:
        """Runs a module with arguments in the cache folder, where what it prints is kept under a name made of them.

        The root of the repository comes first where modules are looked for, after what `variables` puts there.
        """
        name = "".join(arguments[1:]) + variables.get("PYTHONPATH", "")
        self.path = cache / "".join(letter if letter.isalnum() else "_" for letter in name)[:200]
        self.log = self.path.with_suffix(".log").open("wb")
        quiet = {
            "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": str(NUM_THREADS),
            "RL_LOGGING_LEVEL": "ERROR",
            "MUJIGAE_BENCH_CACHE": str(cache),
            "PYTHONPATH": str(ROOT),
        }
        self.process = subprocess.Popen(
            [str(python), "-P", "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=cache,
            env=os.environ | quiet | variables,
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


def source_path(source: str | None) -> dict[str, str]:
    """The variables with which a child imports mujigae from a source tree."""
    return {} if source is None else {"PYTHONPATH": f"{source}:{ROOT}"}


class SubjectChild(Child):
    """bench/core/speed_worker.py in the environment of a subject."""

    def __init__(self, planned: Planned, cache: Path, wheel: Path | None, pythons: dict[Any, Any]) -> None:
        super().__init__()
        try:
            key = (planned.packages, planned.over)
            if key not in pythons:
                pythons[key] = environment(cache, planned.packages, wheel=wheel, over=planned.over)
            arguments = ["bench.core.speed_worker", planned.adapter, json.dumps(planned.options)]
            self.start(pythons[key], arguments, cache, source_path(planned.source))
        except (OSError, subprocess.CalledProcessError) as error:
            self.failure = f"environment: {error}"
