"""The compiled engine and the reference twin agree, bit for bit, over random walks through the whole interface."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test
from machine import BufferMachine, LargeBufferMachine


# A walk of many resets behind the buffer's back earns the warning of them.
@pytest.mark.filterwarnings("ignore:.* rows had an obs that differs:UserWarning")
@pytest.mark.parametrize(
    ("machine", "num_walks", "num_steps"), [(BufferMachine, 25, 25), (LargeBufferMachine, 2, 8)]
)
def test_engine_equals_its_twin_after_each_step(
    machine: type[BufferMachine], num_walks: int, num_steps: int, rounds: Any
) -> None:
    settings = hypothesis.settings(
        max_examples=num_walks,
        stateful_step_count=num_steps,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    for seed in rounds(few=1):
        before = BufferMachine.num_operations
        seeded = hypothesis.seed(seed)(type(f"Seed{seed}", (machine,), {}))
        run_state_machine_as_test(seeded, settings=settings)
        rounds.count("operations tried", BufferMachine.num_operations - before)
