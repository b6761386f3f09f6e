"""The example with Optuna tunes a learning rate through the public interface, and prunes."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("optuna", reason="optuna is not installed: pip install optuna")

from example_runs import output_of


def test_the_example_finds_a_learning_rate_that_learns_and_ends_others_early() -> None:
    output = output_of("optuna_learning_rate", "--trials", "8", "--steps", "5000", timeout_seconds=600)
    found = re.search(
        r"(\d+) trials to the end, (\d+) ended early\nbest: learning_rate (\S+), score (\S+)", output
    )
    assert found is not None, output
    assert int(found[1]) + int(found[2]) == 8
    assert int(found[2]) >= 1
    assert 1e-5 <= float(found[3]) <= 1e-1
    assert float(found[4]) > 30  # random play returns about 22
