"""Tianshou's tests of its buffers."""

from __future__ import annotations

from typing import Any

from suites import Suite


def put_in() -> None:
    """Puts the two vector buffers in their places, and each over one environment in those of the single buffers."""
    import tianshou.data
    from tianshou.data import Batch

    from mujigae.integrations import tianshou as ours

    def single(base: Any) -> Any:
        """A buffer of one environment, whose `add` takes a row without a leading axis, as the library's single buffers do."""

        class OneEnvironment(base):  # type: ignore[misc]
            def __init__(self, size: int, *arguments: Any, **options: Any) -> None:
                super().__init__(size, 1, *arguments, **options)
                self._alpha = self.options.get("alpha")  # which the tests read

            def add(self, batch: Any, buffer_ids: Any = None) -> Any:
                return super().add(Batch.stack([batch]) if buffer_ids is None else batch, [0])

        return OneEnvironment

    tianshou.data.VectorReplayBuffer = ours.VectorReplayBuffer
    tianshou.data.PrioritizedVectorReplayBuffer = ours.PrioritizedVectorReplayBuffer
    tianshou.data.ReplayBuffer = single(ours.VectorReplayBuffer)
    tianshou.data.PrioritizedReplayBuffer = single(ours.PrioritizedVectorReplayBuffer)


_NO_SUCCESSOR = "Its rows come without `obs_next`, which every row needs here and which `Collector` gives."
_SINGLE = "It is about a buffer of one environment that takes in another buffer, which the library's vector buffers refuse too."
_CACHED = "`CachedReplayBuffer`, which is put together of single buffers, is not replaced."
_REWARDS = "Its rewards have several numbers a row."
_PARTS = "It reads observations from a part of the vector buffer, which are in the engine."
_BUFFER, _COLLECTOR = "test/base/test_buffer.py::", "test/base/test_collector.py::"

SUITE = Suite(
    name="Tianshou",
    package="tianshou",
    files=("test/base/test_buffer.py", "test/base/test_collector.py", "test/base/test_returns.py"),
    put_in=put_in,
    replaced=(
        "VectorReplayBuffer",
        "PrioritizedVectorReplayBuffer",
        "ReplayBuffer",
        "PrioritizedReplayBuffer",
    ),
    left_out={
        _BUFFER + "test_replaybuffer": _SINGLE + " It also keeps strings as observations.",
        _BUFFER + "test_update": _SINGLE,
        _BUFFER + "test_herreplaybuffer": "Buffers with hindsight are not replaced.",
        _BUFFER + "test_segtree": "The library's own tree is not replaced.",
        **dict.fromkeys(
            (
                *(
                    _BUFFER + name
                    for name in ("test_ignore_obs_next", "test_stack", "test_pickle", "test_hdf5")
                ),
                *(_BUFFER + name for name in ("test_replaybuffermanager", "test_buffer_dropnull")),
                "test/base/test_returns.py::*",
            ),
            _NO_SUCCESSOR,
        ),
        **dict.fromkeys(
            (_BUFFER + name for name in ("test_cachedbuffer", "test_multibuf_stack", "test_multibuf_hdf5")),
            _CACHED,
        ),
        _BUFFER + "test_from_data": "It makes a buffer of whole arrays; rows enter this one by `add`.",
        _BUFFER + "test_custom_key": _REWARDS,
        _COLLECTOR + "test_collector": "Its observations are Python objects.",
        _COLLECTOR + "TestAsyncCollector::*correct_obs_indices*": _PARTS,
        _COLLECTOR + "test_collector_with_dict_state": _SINGLE,
        _COLLECTOR + "test_collector_with_multi_agent": _REWARDS,
        _COLLECTOR
        + "test_collector_with_atari_setting": "It asks for an error where `obs_next` is not stored; here it is always there.",
        _COLLECTOR
        + "TestCollectStatsAndHooks::test_on_step_hook": "It adds a field of its own, which the library's vector buffers drop too.",
    },
)
