"""AgileRL's tests of its replay buffers."""

from __future__ import annotations

from typing import Any

from suites import Suite


def put_in() -> None:
    """Puts the two buffers in their places, with the names that the tests use for the parts of a row."""
    from agilerl.components import replay_buffer

    from mujigae.integrations import agilerl as ours

    class Named:
        """Calls an observation "state", and gives a row without a successor or an end those that a last row may have."""

        def add(self, data: Any) -> None:
            row = data.clone().rename_key_("state", "obs") if "state" in data else data.clone()
            if "next_obs" not in row:
                row["next_obs"] = row["obs"]
            if "done" not in row:
                row["done"] = row["reward"] > float("inf")
            super().add(row)  # type: ignore[misc]

        def sample(self, *arguments: Any, **options: Any) -> Any:
            batch = super().sample(*arguments, **options)  # type: ignore[misc]
            return batch.rename_key_("obs", "state").exclude("next_obs", "done")

    for name in ("ReplayBuffer", "PrioritizedReplayBuffer"):
        setattr(replay_buffer, name, type(name, (Named, getattr(ours, name)), {}))


_ARRAYS = "It reads or sets what the library's buffer is made of: its arrays, cursor or size."
_TREE = "It reads the library's trees, or the places of rows in them."
_INDEX = "It asks for the places of the rows that were drawn; rows here have keys."
_ADD, _ADAPTIVE = "*::TestReplayBufferAdd::", "*::TestReplayBufferAdaptiveSampling::"

SUITE = Suite(
    name="AgileRL",
    package="agilerl",
    files=("tests/test_components/test_replay_buffer.py",),
    put_in=put_in,
    replaced=("ReplayBuffer", "PrioritizedReplayBuffer"),
    left_out={
        "*::TestMultiStep*": "The library's own n-step buffer is not replaced.",
        "*::TestMultiAgent*": "Buffers of several agents are not replaced.",
        _ADD + "test_buffer_initialization": _ARRAYS,
        _ADD + "test_add_experience_when_cursor_wraps": _ARRAYS,
        "*::TestReplayBufferSize::*": _ARRAYS,
        "*::TestReplayBufferStorage::*": _ARRAYS,
        "*::test_sample_with_indices": _INDEX,
        _ADAPTIVE
        + "test_sample_more_than_size_returns_size": "Rows are drawn with replacement, as many as were asked for.",
        _ADAPTIVE + "test_sample_zero_batch_returns_empty": "A batch of no rows is refused.",
        _ADAPTIVE + "*": _INDEX + " They are drawn with replacement.",
        "*::test_prioritized_buffer_initialization": _TREE,
        "*::TestPrioritizedReplayBufferAdd::*": _TREE,
        "*::TestPrioritizedReplayBufferUpdatePriorities::*": _TREE,
        "*::TestPrioritizedReplayBufferSampleProportional::*": _TREE,
        "*::TestPrioritizedReplayBufferCalculateWeights::*": _TREE,
        "*::TestPrioritizedReplayBufferUpdatePriority::*": _TREE,
    },
)
