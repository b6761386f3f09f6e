"""What `own_suites.py` has to know of each library: `suites/<library>.py` has a `SUITE`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Suite"]


class Suite(NamedTuple):
    """A library's own tests of its buffers, and what of them does not apply to mujigae's."""

    name: str  #: as pages call the library
    package: str  #: as pip calls it
    files: tuple[str, ...]  #: in a checkout of the library
    put_in: Callable[
        [], None
    ]  #: puts mujigae's classes in the place of the library's, before its tests are imported
    replaced: tuple[str, ...]  #: what is replaced, in words
    left_out: Mapping[str, str]  #: {a pattern of "file::test[parameters]": why, in one sentence}
