"""Draws from a sum tree and updates of it."""

from __future__ import annotations

from typing import Any

import pytest

from bench.core.workloads import TreeWork

pytestmark = pytest.mark.benchmark(max_time=0.1, min_rounds=5)


@pytest.fixture(scope="module")
def work(tree_subject: Any) -> TreeWork:
    return TreeWork(tree_subject, 2**20)


@pytest.mark.parametrize("batch_size", [32, 256, 2048])
@pytest.mark.parametrize("operation", ["draw", "update"])
def test_sum_tree(benchmark: Any, work: TreeWork, operation: str, batch_size: int) -> None:
    benchmark.group = f"sum tree of 2^20 leaves, {operation} {batch_size}"
    measured = work.operation(operation, batch_size)
    benchmark(measured.run, 1)
    measured.check()
    measured.conclude()
