"""Cycles (a batch, then its priorities), steps that are added, uniform samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.core import workloads
from bench.core.stream import AtariStream
from bench.core.subject import NotOffered

pytestmark = pytest.mark.benchmark(max_time=0.1, min_rounds=5)
NUM_ATARI_ROWS, NUM_VECTOR_ROWS, NUM_ADD_ROWS = 5_000, 50_000, 1_000


@pytest.fixture(scope="module")
def stream(recording: Path, subject: Any) -> AtariStream:
    made = AtariStream(recording)
    made.repeats_first = subject.repeats_first
    return made


@pytest.fixture(scope="module")
def atari(subject: Any, stream: AtariStream) -> Any:
    return workloads.atari(subject, stream, NUM_ATARI_ROWS)


@pytest.fixture(scope="module")
def vector(subject: Any) -> Any:
    return workloads.vector(subject, NUM_VECTOR_ROWS)


@pytest.fixture(scope="module")
def uniform(subject: Any) -> Any:
    return workloads.uniform(subject, NUM_VECTOR_ROWS)


@pytest.mark.parametrize("batch_size", [32, 256])
def test_atari_cycle(benchmark: Any, atari: Any, batch_size: int) -> None:
    run(benchmark, atari, "cycle", batch_size, f"Atari cycle {batch_size}")


@pytest.mark.parametrize("batch_size", [32, 256, 2048])
def test_vector_cycle(benchmark: Any, vector: Any, batch_size: int) -> None:
    run(benchmark, vector, "cycle", batch_size, f"17-float cycle {batch_size}")


@pytest.mark.parametrize("batch_size", [32, 256])
def test_uniform_sample(benchmark: Any, uniform: Any, batch_size: int) -> None:
    run(benchmark, uniform, "sample", batch_size, f"uniform sample {batch_size}")


@pytest.mark.parametrize("num_envs", [1, 8])
def test_atari_add(benchmark: Any, subject: Any, stream: AtariStream, num_envs: int) -> None:
    try:
        work = workloads.AddWork(subject, stream, NUM_ADD_ROWS, num_envs)
    except NotOffered as reason:
        pytest.skip(f"{subject.name} does not offer {reason}")
    run(benchmark, work, "add", 64, f"Atari add, {num_envs} environments at once")


def run(benchmark: Any, work: Any, name: str, batch_size: int, group: str) -> None:
    benchmark.group = group
    operation = work.operation(name, batch_size)
    benchmark(operation.run, 1)
    operation.check()
