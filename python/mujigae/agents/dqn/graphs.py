"""CUDA graphs for the learner, applied from outside: one call launches all kernels of a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["NUM_ORDINARY_CALLS", "Graphed", "record"]

NUM_ORDINARY_CALLS = 3  # before the recording: lazy initialisation must not be part of it

Replay = Callable[[], Any]
Record = Callable[[Callable[..., Any], Sequence[Tensor | None]], Replay]


class Graphed:
    """A function of tensors (and Nones) that returns a NamedTuple of tensors and dicts of them: recorded once, then replayed.

    The first calls are ordinary ones, so nothing happens twice and nothing for show. Later inputs are copied to
    where the recording reads them and results are copies; all else that the function reads or writes (weights,
    noise, moments) has to stay in its place, and shapes must not change.

    Args:
        function: what is recorded; it may differentiate and take an optimizer's step.
        record: how; `record` below, or a stand-in where there is no CUDA.
    """

    def __init__(self, function: Callable[..., Any], record: Record) -> None:
        self._function, self._record = function, record
        self._num_calls = 0
        self._inputs: list[Tensor | None] = []
        self._replay: Replay | None = None

    def __call__(self, *inputs: Tensor | None) -> Any:
        self._num_calls += 1
        if self._num_calls <= NUM_ORDINARY_CALLS:
            return self._function(*inputs)
        if self._replay is None:
            self._inputs = [None if value is None else value.clone() for value in inputs]
            self._replay = self._record(self._function, self._inputs)
        for place, value in zip(self._inputs, inputs, strict=True):
            if place is not None and value is not None:
                place.copy_(value)
        outputs = self._replay()
        return type(outputs)(*map(_copied, outputs))


def _copied(output: Tensor | Mapping[str, Tensor]) -> Any:
    if isinstance(output, Mapping):
        return {name: value.clone() for name, value in output.items()}
    return output.clone()


def record(function: Callable[..., Any], inputs: Sequence[Tensor | None]) -> Replay:
    """A CUDA graph of `function(*inputs)`; nothing is computed until it is replayed."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function(*inputs)

    def replay() -> Any:
        graph.replay()
        return outputs

    return replay
