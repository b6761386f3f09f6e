"""Stable-Baselines3's tests of its buffers."""

from __future__ import annotations

from typing import Any

from suites import Suite


def put_in() -> None:
    """Puts the two replay buffers in the places of the library's four."""
    import stable_baselines3
    from stable_baselines3.common import buffers, off_policy_algorithm

    from mujigae.integrations.stable_baselines3 import HerReplayBuffer, ReplayBuffer

    class Indexed(ReplayBuffer):
        """Gives rows by their index too, as the tests ask for them: by the key that each had when it was added."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._keys: dict[int, Any] = {}

        def add(self, *arguments: Any) -> None:
            place = self.pos
            super().add(*arguments)
            self._keys[place] = self.replay.last_key()[0]

        def _get_samples(self, batch_inds: Any, env: Any = None) -> Any:
            batch = self.replay.gather([self._keys[int(i)] for i in batch_inds])
            return buffers.ReplayBufferSamples(**self._tensors(batch, env))

    for name in ("ReplayBuffer", "DictReplayBuffer", "NStepReplayBuffer"):
        kind = type(name, (Indexed,), {})  # one class for each: the tests choose by them
        setattr(buffers, name, kind)
        setattr(off_policy_algorithm, name, kind)
    stable_baselines3.HerReplayBuffer = HerReplayBuffer


_ARRAYS = "It reads the arrays in which the library's buffer keeps its rows; the engine has none."

SUITE = Suite(
    name="Stable-Baselines3",
    package="stable-baselines3",
    files=("tests/test_buffers.py", "tests/test_her.py", "tests/test_n_step_replay.py"),
    put_in=put_in,
    replaced=("ReplayBuffer", "DictReplayBuffer", "NStepReplayBuffer", "HerReplayBuffer"),
    left_out={
        "tests/test_buffers.py::test_env*": "It is about the tests' own environments.",
        "tests/test_buffers.py::test_device_buffer[*RolloutBuffer]": "Rollout buffers, of on-policy agents, are not replaced.",
        "tests/test_buffers.py::test_custom_rollout_buffer": "Rollout buffers, of on-policy agents, are not replaced.",
        "tests/test_buffers.py::test_buffer_dtypes*": _ARRAYS + " Then it draws from a buffer without rows.",
        "tests/test_her.py::test_import_error": "It is about an import of the library.",
        "tests/test_her.py::test_save_load_replay_buffer*": _ARRAYS,
        "tests/test_her.py::test_truncate_last_trajectory*": _ARRAYS,
        "tests/test_n_step_replay.py::test_nstep_no_terminations*": "It asks for a row of which n steps are not there yet, which "
        "cannot be drawn here, and writes into the library's array of ends.",
    },
)
