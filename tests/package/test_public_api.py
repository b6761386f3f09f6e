"""The names, parameters and defaults that users write against, and what the installed package carries."""

from __future__ import annotations

import inspect
import re
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import mujigae
from mujigae import _core

REQUIRED = inspect.Parameter.empty
PUBLIC = {
    *("Batch", "Episode", "SequenceBatch", "PrioritizedReplayBuffer", "ReplayBuffer", "Validity", "load"),
    *(
        "FrameRing",
        "NStepAccumulator",
        "Proportional",
        "RankBased",
        "RateLimiter",
        "SumTree",
        "Uniform",
        "build_info",
    ),
    *("CheckpointError", "ConfigError", "MissingExtraError", "MujigaeError", "SnapshotError"),
}
SHARED = {"num_envs": 1, "frame_stack": None, "n_step": 1, "gamma": 0.99}
PRIORITY = {"alpha": 0.6, "beta": 0.4, "eps": 1e-6, "stratified": True}
TAIL = {
    "extras": None,
    **{"compress": False, "path": None, "device": None, "frames_on_device": False},
    **{"prefetch": 0, "validate": True, "seed": None},
}


def parameters(function: object) -> list[tuple[str, object]]:
    """Names and defaults, without self; REQUIRED where there is no default."""
    found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return [(p.name, p.default) for p in found if p.name != "self"]


def test_public_names_are_the_documented_ones() -> None:
    assert set(mujigae.__all__) == PUBLIC
    assert all(hasattr(mujigae, name) for name in mujigae.__all__)


def test_prioritized_buffer_takes_the_documented_parameters_and_defaults() -> None:
    positional = [(name, REQUIRED) for name in ("capacity", "observation_space", "action_space")]
    expected = [*positional, *(SHARED | PRIORITY | TAIL).items()]
    assert parameters(mujigae.PrioritizedReplayBuffer) == expected


def test_uniform_buffer_takes_the_same_without_priorities() -> None:
    positional = [(name, REQUIRED) for name in ("capacity", "observation_space", "action_space")]
    sampler = {"sampler": mujigae.Uniform()}
    assert parameters(mujigae.ReplayBuffer) == [*positional, *(SHARED | sampler | TAIL).items()]


@pytest.mark.parametrize("buffer", [mujigae.ReplayBuffer, mujigae.PrioritizedReplayBuffer])
def test_only_the_three_spaces_and_sizes_may_be_given_by_position(buffer: type) -> None:
    found = [p for p in inspect.signature(buffer).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in found] == ["capacity", "observation_space", "action_space"]


@pytest.mark.parametrize("name", ["add", "extend"])
def test_add_and_extend_take_a_transition_in_the_documented_order(name: str) -> None:
    columns = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
    optional = [("env_ids", None), ("priority", None), ("extras", None)]
    expected = [*((column, REQUIRED) for column in columns), *optional]
    assert parameters(getattr(mujigae.PrioritizedReplayBuffer, name)) == expected


def test_sample_and_update_take_the_documented_parameters() -> None:
    buffer = mujigae.PrioritizedReplayBuffer
    assert parameters(buffer.sample) == [("batch_size", REQUIRED), ("beta", None), ("out", None)]
    assert parameters(buffer.update_priorities) == [("key", REQUIRED), ("priorities", REQUIRED)]
    assert parameters(buffer.save) == [("path", REQUIRED)]
    assert parameters(mujigae.load)[0] == ("path", REQUIRED)


def test_batch_has_the_documented_fields_in_order() -> None:
    expected = (
        "obs",
        "action",
        "reward",
        "next_obs",
        "discount",
        "terminated",
        "weight",
        "key",
        "probability",
        "extras",
    )
    assert mujigae.Batch._fields == expected


def test_settings_that_may_change_between_samples_can_be_set() -> None:
    buffer = make_buffer()
    for name, value in {"n_step": 3, "gamma": 0.5, "alpha": 0.7, "beta": 0.9}.items():
        setattr(buffer, name, value)
        assert getattr(buffer, name) == value


def test_sizes_cannot_be_set() -> None:
    buffer = make_buffer()
    for name in ("capacity", "nbytes", "num_silent_boundaries"):
        assert getattr(buffer, name) >= 0
        with pytest.raises(AttributeError):
            setattr(buffer, name, 1)


def make_buffer() -> mujigae.PrioritizedReplayBuffer:
    return mujigae.PrioritizedReplayBuffer(16, {"x": ((), np.int64)}, ((), np.int64), seed=0)


def test_sum_tree_answers_the_documented_calls() -> None:
    tree = mujigae.SumTree(capacity=4, seed=0)
    tree.update(indices=np.array([1, 3]), values=np.array([1.0, 3.0]))
    assert (tree.total, tree.min, tree[3], len(tree)) == (4.0, 1.0, 3.0, 4)
    np.testing.assert_array_equal(tree.find(np.array([0.0, 0.99, 1.0, 4.0])), [1, 1, 3, 3])
    drawn = tree.sample(batch_size=4, stratified=True)
    assert drawn.dtype == np.int64
    assert set(drawn.tolist()) <= {1, 3}


def test_frame_ring_answers_the_documented_calls() -> None:
    ring = mujigae.FrameRing(8, (2, 2), 2, dtype=np.uint8)
    frames = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    slots = np.array([ring.start(frames[:2]), ring.append(frames[2])])
    np.testing.assert_array_equal(ring.stacks(slots), [frames[:2], frames[1:]])


def test_n_step_accumulator_answers_the_documented_call() -> None:
    windows = mujigae.NStepAccumulator(n_step=2, gamma=0.5, num_envs=1)
    no, reward = np.array([False]), np.array([1.0])
    assert [len(column) for column in windows.push(reward, no, no)] == [0] * 5
    env, steps_ago, total, discount, num_steps = windows.push(reward, no, no)
    assert (env[0], steps_ago[0], total[0], discount[0], num_steps[0]) == (0, 1, 1.5, 0.25, 2)


def test_build_info_says_version_compiler_and_instruction_sets() -> None:
    info = mujigae.build_info()
    assert info["version"] == metadata.version("mujigae") == mujigae.__version__
    assert info["compiler"]
    assert info["active_instruction_set"] in info["instruction_sets"]


# --- what the installed package carries ---


def test_numpy_is_the_only_dependency_that_is_not_an_extra() -> None:
    required = metadata.requires("mujigae") or []
    assert [re.split(r"[\s<>=!~\[(]", line)[0] for line in required if "extra ==" not in line] == ["numpy"]


def test_package_declares_its_extras_and_its_command() -> None:
    assert {"train", "atari", "sb3", "test"} <= set(
        metadata.metadata("mujigae").get_all("Provides-Extra") or []
    )
    (command,) = metadata.entry_points(group="console_scripts", name="mujigae")
    assert command.value == "mujigae.cli:main"


def test_package_carries_its_types() -> None:
    package = Path(mujigae.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "_core.pyi").is_file()


def test_compiled_module_links_the_system_libraries_alone() -> None:
    listing = subprocess.run(
        ["ldd", _core.__file__], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    names = {line.split()[0].rpartition("/")[2].split(".so")[0] for line in listing.splitlines()}
    assert names <= {"linux-vdso", "libstdc++", "libm", "libgcc_s", "libc", "libpthread", "ld-linux-x86-64"}
