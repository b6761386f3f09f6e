"""What people have at hand is taken: names with dots, tensors that require gradients."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

NAMES = ["observation.state", "observation.images.top", "plain"]


def dotted_buffer(impl: ModuleType, **options: Any) -> Any:
    space = dict.fromkeys(NAMES, ((2, 3), np.float32))
    return impl.ReplayBuffer(10, space, ((), np.int64), seed=0, **options)


def add_dotted(buffer: Any) -> dict[str, Any]:
    obs = {name: np.full((2, 3), i, np.float32) for i, name in enumerate(NAMES)}
    buffer.add(obs, 0, 0.0, obs, True, False)
    return obs


def test_names_of_observations_may_have_dots(impl: ModuleType) -> None:
    buffer = dotted_buffer(impl)
    obs = add_dotted(buffer)
    batch = buffer.sample(2)
    assert list(batch.obs) == NAMES
    assert all(np.array_equal(batch.obs[name][0], obs[name]) for name in NAMES)


def test_stacks_are_named_with_their_dots(impl: ModuleType) -> None:
    buffer = dotted_buffer(impl, frame_stack={"observation.images.top": 2})
    add_dotted(buffer)
    assert len(buffer) == 1


def test_names_that_are_the_same_when_joined_by_dots_are_refused(impl: ModuleType) -> None:
    part = ((2,), np.float32)
    with pytest.raises(ValueError, match=r"names that differ when joined by dots, got \['a.b'\] twice"):
        impl.ReplayBuffer(10, {"a.b": part, "a": {"b": part}}, ((), np.int64))


@pytest.mark.parametrize(
    ("dtype", "kept", "changed"),
    [
        (np.float32, np.array(2**24), np.array(2**24 + 1)),
        (np.float32, np.array(-(2**24)), np.array(-(2**24) - 1)),
        (np.float16, np.array(2048, np.uint16), np.array(2049, np.uint16)),
        (np.float16, np.array(65504), np.array(70000)),
        (np.float64, np.array(2**63 - 1024), np.array(2**63 - 1)),
        (np.float64, np.array(-(2**63)), np.array(2**53 + 1)),
        (np.float64, np.array(2**63, np.uint64), np.array(2**64 - 1, np.uint64)),
    ],
)
def test_integers_become_floats_where_they_stay_the_same(
    impl: ModuleType, dtype: Any, kept: Any, changed: Any
) -> None:
    buffer, obs = impl.ReplayBuffer(4, ((), np.float32), ((), dtype), seed=0), np.float32(0)
    buffer.add(obs, kept, 0.0, obs, True, False)
    assert int(buffer.sample(1).action[0]) == int(kept)
    with pytest.raises(ValueError, match=f"action: expected values that fit {np.dtype(dtype)}"):
        buffer.add(obs, changed, 0.0, obs, True, False)
    assert len(buffer) == 1


def test_no_dtype_is_no_float64(impl: ModuleType) -> None:
    with pytest.raises(TypeError, match="expected a NumPy dtype, got None"):
        impl.ReplayBuffer(4, ((4,), None), ((), np.int64))


def test_tensors_that_require_gradients_are_taken(impl: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    buffer = impl.ReplayBuffer(10, ((3,), np.float32), ((2,), np.float32), seed=0)
    obs, action = torch.ones(3, requires_grad=True), torch.full((2,), 5.0, requires_grad=True)
    buffer.add(obs, action * 1, torch.tensor(2.0, requires_grad=True), obs + 1, True, False)
    buffer.extend([obs], [action], [torch.tensor(2.0, requires_grad=True)], [obs + 1], [True], [False])
    batch = buffer.sample(8)
    assert (batch.obs == 1.0).all()
    assert (batch.action == 5.0).all()
    assert (batch.reward == 2.0).all()


def test_values_that_require_gradients_become_leaves() -> None:
    torch = pytest.importorskip("torch")
    import mujigae

    tree = mujigae.SumTree(4)
    tree.update([0, 1], torch.tensor([1.0, 2.0], requires_grad=True))
    assert tree.total == 3.0
    stream = mujigae.NStepAccumulator(1, 0.9)
    assert stream.push(torch.tensor([4.0], requires_grad=True), [True], [False])[2] == 4.0
