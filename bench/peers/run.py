"""Runs `mujigae.conformance` against the released buffers of other libraries: writes bench/results/conformance.json.

    python bench/peers/run.py [--only NAME ...] [--cases ID ...] [--cache FOLDER] [--wheel FILE] [--cleanrl FILE]

Each library gets a virtual environment of its own under the cache folder, with its pinned release and a wheel of mujigae.
Results of libraries that are not run stay as they are. CleanRL's Rainbow is in no released package: its script is fetched at the
pinned commit, or taken from --cleanrl, and checked; it is executed from the cache folder and kept nowhere else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    # The root of the repository instead of this folder, whose files have names of libraries.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.core.cleanrl_script import cleanrl
from bench.core.environments import CACHE, ROOT, build_wheel, environment

RESULTS = ROOT / "bench/results/conformance.json"


class Peer(NamedTuple):
    """A library: its adapter, what its environment holds, and packages of a second one in which B8 has to pass as well."""

    adapter: str
    packages: tuple[str, ...]
    bare: tuple[str, ...] = ()  # installed without what they depend on
    other: tuple[str, ...] = ()


PEERS = {
    "mujigae": Peer("mujigae.conformance.ours:Mujigae", ("numpy", "gymnasium>=1.1,<2")),
    "cpprb": Peer("bench.peers.cpprb:ConformanceAdapter", ("cpprb==11.0.0", "numpy")),
    "torchrl": Peer(
        "bench.peers.torchrl:ConformanceAdapter",
        ("torch==2.15.0", "torchrl==0.14.1"),
        other=("torch==2.13.0", "torchrl==0.14.1"),
    ),
    "tianshou": Peer("bench.peers.tianshou:ConformanceAdapter", ("torch==2.13.0", "tianshou==2.0.1")),
    "stable-baselines3": Peer(
        "bench.peers.stable_baselines3:ConformanceAdapter", ("torch==2.13.0", "stable-baselines3==2.9.2")
    ),
    "dopamine": Peer(
        "bench.peers.dopamine:ConformanceAdapter",
        ("absl-py", "gin-config", "flax", "jax", "jaxlib", "orbax-checkpoint", "python-snappy", "numpy"),
        bare=("dopamine-rl==4.1.2",),
    ),
    "cleanrl-dqn": Peer(
        "bench.peers.stable_baselines3:CleanDqnAdapter", ("torch==2.13.0", "stable-baselines3==2.9.2")
    ),
    "agilerl": Peer("bench.peers.agilerl:ConformanceAdapter", ("torch==2.13.0", "agilerl==2.58.0", "peft")),
    "d3rlpy": Peer("bench.peers.d3rlpy:ConformanceAdapter", ("torch==2.13.0", "d3rlpy==2.8.1")),
    "flashbax": Peer("bench.peers.flashbax:ConformanceAdapter", ("flashbax==0.1.3", "jax==0.10.2")),
    "lerobot": Peer("bench.peers.lerobot:ConformanceAdapter", ("torch==2.10.0", "lerobot==0.4.4")),
    "rlox": Peer("bench.peers.rlox:ConformanceAdapter", ("torch==2.13.0", "rlox==1.2.0")),
    "skrl": Peer("bench.peers.skrl:ConformanceAdapter", ("torch==2.13.0", "skrl==2.1.1", "gymnasium==1.4.0")),
    "cleanrl-rainbow": Peer("bench.peers.cleanrl:ConformanceAdapter", ("torch==2.13.0", "numpy")),
}


def main() -> int:
    arguments = _parser().parse_args()
    cache = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    wheel = arguments.wheel or build_wheel(cache)
    for name in arguments.only or PEERS:
        variables = cleanrl(cache, arguments.cleanrl) if name == "cleanrl-rainbow" else {}
        report = examined(name, cache, wheel, variables, arguments.cases)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[name] = merged(results[name], report) if arguments.cases else report
        ordered = {peer: results[peer] for peer in PEERS if peer in results}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")
    return 0


def examined(
    name: str, cache: Path, wheel: Path, variables: dict[str, str], cases: list[str] | None
) -> dict[str, Any]:
    """The report of the suite (or of some cases) in the environment of one library."""
    peer = PEERS[name]
    python = environment(cache, peer.packages, peer.bare, wheel)
    report = conformance(
        python, peer, cache / f"{name}.json", variables, *(["--only", *cases] if cases else [])
    )
    if peer.other and (not cases or "B8" in cases):
        other = environment(cache, peer.other, peer.bare, wheel)
        second = conformance(other, peer, cache / f"{name}-other.json", variables, "--only", "B8")
        report["cases"] = [worse(case, second["cases"], peer.other[0]) for case in report["cases"]]
    return counted(report)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The old report with the cases of the new one in their places; cases that it lacked follow those of a smaller id."""
    cases = {case["name"]: case for case in [*old["cases"], *new["cases"]]}
    return counted(new | {"cases": sorted(cases.values(), key=in_order)})


def in_order(case: dict[str, Any]) -> tuple[str, int, str]:
    """B1, B2, ... B14, B14b, ... R1, ... S1, ... T1, ..."""
    number = case["id"][1:].rstrip("b")
    return case["id"][0], int(number), case["id"]


def counted(report: dict[str, Any]) -> dict[str, Any]:
    """The report with its summary made anew."""
    statuses = [case["status"] for case in report["cases"]]
    return report | {"counts": {status: statuses.count(status) for status in report["counts"]}}


def conformance(
    python: Path, peer: Peer, output: Path, variables: dict[str, str], *options: str
) -> dict[str, Any]:
    """Runs the suite, each case in a process of its own; what it says is told as it comes."""
    output.unlink(missing_ok=True)
    command = [str(python), "-m", "mujigae.conformance", "--adapter", peer.adapter]
    command += ["--isolate", "--timeout-seconds", "600"]
    quiet = {
        "PYTHONWARNINGS": "ignore",
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": "1",
        "RL_LOGGING_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [*command, "--json", str(output), *options],
        cwd=output.parent,
        env=os.environ | quiet | variables,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{peer.adapter}: the suite ended with status {done.returncode}")
    report: dict[str, Any] = json.loads(output.read_text())
    return report


def worse(case: dict[str, Any], others: list[dict[str, Any]], where: str) -> dict[str, Any]:
    """The case, or the failure of the same case in the other environment."""
    for other in others:
        if other["name"] == case["name"] and other["status"] == "failed" and case["status"] == "passed":
            return other | {"reason": f"with {where}: {other['reason']}"}
    return case


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(PEERS), metavar="NAME", help="some libraries")
    parser.add_argument("--cases", nargs="+", metavar="ID", help="some cases; the results of others stay")
    parser.add_argument("--cache", type=Path, default=CACHE, help="for environments")
    parser.add_argument("--wheel", type=Path, help="of mujigae; built when left out")
    parser.add_argument(
        "--cleanrl", type=Path, help="rainbow_atari.py at the pinned commit; fetched when left out"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
