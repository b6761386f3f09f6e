"""The tensors of a checkpoint by their names, taken back by an agent of the same form."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

__all__ = ["check_same_tensors", "under"]


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def check_same_tensors(got: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raises ValueError that names the first tensor that is missing, unknown, or of another shape or dtype."""
    for name in sorted(got.keys() ^ expected.keys()):
        raise ValueError(f"tensor {name} is {'missing' if name in expected else 'unknown'}")
    for name, tensor in expected.items():
        if (got[name].shape, got[name].dtype) != (tensor.shape, tensor.dtype):
            raise ValueError(
                f"tensor {name}: expected {tensor.dtype} {list(tensor.shape)}, "
                f"got {got[name].dtype} {list(got[name].shape)}"
            )
