"""What the examples of other libraries learn with mujigae's buffer and with the library's own, over several seeds.

    python bench/integrations/learning.py skrl --seeds 3     writes bench/results/learning.json; skrl is installed in this environment

Each run is a process of its own, one after the other, ours and theirs in turns. What is compared is the number in an example's last
line: the mean return of the last 20 episodes of training, or for d3rlpy that of 20 episodes played with what was learned. JAX has no
buffer of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.core.hardware import describe

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "bench/results/learning.json"


class Example(NamedTuple):
    """A script in examples/, and how it is given a seed and the library's own buffer."""

    name: str
    script: str
    package: str
    seed: tuple[str, ...] = ("--seed",)
    theirs: tuple[str, ...] | None = ("--theirs",)


EXAMPLES = {
    "skrl": Example("skrl", "skrl_dqn", "skrl"),
    "agilerl": Example("AgileRL", "agilerl_dqn", "agilerl"),
    "jax": Example("JAX", "jax_dqn", "jax", seed=(), theirs=None),
    "d3rlpy": Example("d3rlpy", "d3rlpy_offline", "d3rlpy"),
}


def run(example: Example, seed: int, *, theirs: bool) -> dict[str, Any]:
    """The score of one run, and its seconds."""
    options = [*example.seed, str(seed), *(example.theirs or () if theirs else ())]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / f"examples/{example.script}.py"), *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - began
    score = float(done.stdout.split()[-1])
    print(
        f"{example.name}, seed {seed}, {'theirs' if theirs else 'ours'}: {score:.1f} in {seconds:.0f} s",
        flush=True,
    )
    return {"seed": seed, "score": score, "seconds": round(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("example", choices=EXAMPLES)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    example = EXAMPLES[arguments.example]
    found: dict[str, list[Any]] = {"mujigae": [], **({} if example.theirs is None else {"theirs": []})}
    for seed in range(arguments.seeds):
        for buffer, runs in found.items():
            runs.append(run(example, seed, theirs=buffer == "theirs"))
        write(arguments.example, example, found)


def write(key: str, example: Example, found: dict[str, list[Any]]) -> None:
    """The seeds so far, among the results of the other examples."""
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    results[key] = {
        "command": f"python bench/integrations/learning.py {key} --seeds {len(found['mujigae'])}",
        "name": example.name,
        "versions": {name: metadata.version(name) for name in (example.package, "numpy")},
        "machine": describe(),
        **found,
    }
    RESULT.write_text(json.dumps(dict(sorted(results.items())), indent=2) + "\n")


if __name__ == "__main__":
    main()
