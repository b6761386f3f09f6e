"""cpprb's tests of its buffers."""

from __future__ import annotations

from typing import Any

from suites import Suite


def put_in() -> None:
    """Puts the two buffers and `create_buffer` in their places, with the private method by which the tests read rows."""
    import cpprb
    import numpy as np

    from mujigae.integrations import cpprb as ours

    def rows_at(self: Any, places: Any) -> dict[str, Any]:
        return {name: rows[np.ravel(places)] for name, rows in self.get_all_transitions().items()}

    ours.ReplayBuffer._encode_sample = rows_at  # type: ignore[attr-defined]
    for name in ("ReplayBuffer", "PrioritizedReplayBuffer", "create_buffer"):
        setattr(cpprb, name, getattr(ours, name))


_FILES = "It reads files of the library's own format, which are pickles; and `load_transitions` here replaces rows, it appends none."
_SAVED = "test/test_save_load.py::TestReplayBuffer::"

SUITE = Suite(
    name="cpprb",
    package="cpprb",
    files=(
        "test/test_PyReplayBuffer.py",
        "test/test_features.py",
        "test/test_v8.py",
        "test/test_multi_rew.py",
        "test/test_HighLevelAPI.py",
        "test/test_issue.py",
        "test/test_save_load.py",
    ),
    put_in=put_in,
    replaced=("ReplayBuffer", "PrioritizedReplayBuffer", "create_buffer"),
    left_out={
        "*::TestPrioritizedBase::*": "A part of other tests, which fails by itself with the library's own class too.",
        "*::TestSelectiveReplayBuffer::*": "This class of the library is not replaced.",
        "*::TestReverseReplayBuffer::*": "This class of the library is not replaced.",
        "*::TestNstepBuffer::*": "This class of the library is not replaced.",
        "*::TestPrioritizedReplayBuffer::test_unchange": "It takes `indexes` for places; here they are keys, by which an overwritten row is known.",
        "*::test_BatchSampling": "It draws before the n-step window of any row is complete, which is refused here.",
        "*::test_memmap": "It asks for the library's own names of files.",
        "*::TestIssue43::*": "It reads rows of an empty buffer.",
        "*::TestIssue45::*": "It gives arguments of an older release, which the library ignores and which are refused here.",
        "*::TestIssue46::*": "It gives arguments of an older release, and reads a row where there is none.",
        "*::TestIssue137::test_Nstep_discounts_with_done": "It expects that a window whose last step is terminal is not: the library's fault B1 in conformance.md.",
        "*::TestIssue137::test_next_obs": "It wants the successor at a window's end of an observation that it does not store; refused here.",
        _SAVED + "*": _FILES,
    },
)
