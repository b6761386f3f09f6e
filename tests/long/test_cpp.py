"""What only the C++ core can be put through: libFuzzer under ASan and UBSan, and threads under TSan.

Builds the presets `fuzz` and `tsan` of `cpp/` first: needs CMake, Ninja or Make, GCC, and Debian's clang-16 and
libclang-rt-16-dev. Without them these tests fail: a long run without them would not be one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def built(preset: str, target: str) -> Path:
    """The folder of a preset in which `target` has been built."""
    cpp = ROOT / "cpp"
    subprocess.run(["cmake", "--preset", preset], cwd=cpp, check=True, capture_output=True)
    build = ["cmake", "--build", "--preset", preset, "-j2", "--target", target]
    subprocess.run(build, cwd=cpp, check=True, capture_output=True)
    return ROOT / "build" / f"cpp-{preset}"


def test_the_reader_of_snapshots_withstands_libfuzzer(rounds: Any, tmp_path: Path) -> None:
    fuzzer = built("fuzz", "fuzz_snapshot") / "fuzz" / "fuzz_snapshot"
    found = tmp_path / "found"
    found.mkdir()
    for seed in rounds():
        seconds = max(1, min(300, round(rounds.seconds_left)))
        arguments = [f"-seed={seed % 2**31}", f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10"]
        limits = ["-rss_limit_mb=1024", "-malloc_limit_mb=64", f"-artifact_prefix={tmp_path}/"]
        corpus = [str(found), str(ROOT / "tests" / "fuzz" / "corpus" / "snapshot")]
        run = subprocess.run(
            [str(fuzzer), *arguments, *limits, *corpus], capture_output=True, text=True, errors="replace"
        )
        assert run.returncode == 0, run.stderr[-4000:]
        done = re.search(r"Done (\d+) runs", run.stderr)
        assert done is not None
        rounds.count("files fuzzed", int(done[1]))


def mutated(program: str, *arguments: str, folder: Path) -> None:
    """Runs a program of forged files under ASan and UBSan; a case that is found stays in `folder`."""
    command = [str(built("asan", program) / "tests" / program), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert run.returncode == 0, run.stderr[-4000:]


def test_the_reader_of_snapshots_withstands_mutations(rounds: Any, tmp_path: Path) -> None:
    corpus = ROOT / "tests" / "fuzz" / "corpus" / "snapshot"
    for seed in rounds():
        mutated("mutate_corpus", str(corpus), "10000", str(seed % 2**63), folder=tmp_path)
        rounds.count("snapshots forged", 10000)


def test_file_backed_buffers_withstand_forged_files(rounds: Any, tmp_path: Path) -> None:
    for seed in rounds():
        mutated("mutate_files", "5000", str(seed % 2**32), folder=tmp_path)
        rounds.count("files forged", 5000)


def test_threads_of_the_core_race_for_nothing(rounds: Any) -> None:
    program = built("tsan", "test_threads") / "tests" / "test_threads"
    # GCC's ThreadSanitizer cannot run where the kernel randomises more address bits than it knows of.
    prefix = ["setarch", "-R"] if shutil.which("setarch") else []
    for _ in rounds():
        run = subprocess.run([*prefix, str(program)], capture_output=True, text=True)
        races = run.stdout.count("WARNING: ThreadSanitizer") + run.stderr.count("WARNING: ThreadSanitizer")
        rounds.count("races found", races)
        assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]
        rounds.count("runs under the thread sanitizer")
