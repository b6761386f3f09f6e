"""torch.compile for a learner's functions, applied from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mujigae.errors import ConfigError

__all__ = ["compiled"]


def compiled(functions: Sequence[Any]) -> list[Any]:
    """The functions by torch.compile, each for tensors of one shape; compiled when they are first called.

    Raises ConfigError where a trial, which costs a fraction of a second, cannot be compiled: on the CPU that
    takes a C++ compiler.
    """
    try:
        torch.compile(torch.neg, dynamic=False)(torch.zeros(1))
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"compile: expected a torch.compile that works here ({reason})") from None
    return [torch.compile(function, dynamic=False) for function in functions]
