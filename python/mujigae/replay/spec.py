"""What a buffer is constructed with: one typed description, read by constructor, snapshots, pickles and the reference twin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mujigae.replay.arguments import as_bool, as_float, as_int
from mujigae.replay.samplers import SAMPLERS, Sampler, Uniform
from mujigae.replay.spaces import ArraySpec, ObsLayout, action_spec, exact_rows, extra_specs

__all__ = ["BufferSpec"]

_UNIFORM = Uniform()


@dataclass(frozen=True)
class BufferSpec:
    """Everything that decides what a buffer does, but for its seed, its file and where its batches lie.

    Each field is converted to its type, or refused by a TypeError or ValueError that names it.
    """

    capacity: int
    obs: ObsLayout
    action: ArraySpec
    num_envs: int = 1
    n_step: int = 1
    gamma: float = 0.99
    sampler: Sampler = _UNIFORM
    extras: tuple[ArraySpec, ...] = ()
    compress: bool = False
    prefetch: int = 0
    validate: bool = True

    def __post_init__(self) -> None:
        for convert, names in _CONVERTERS.items():
            for name in names:
                object.__setattr__(self, name, convert(name, getattr(self, name)))
        extras = [spec.name for spec in self.extras]
        if len(set(extras)) != len(extras) or any(spec.stack != 1 for spec in self.extras):
            raise ValueError(f"extras: expected different names and no stacks, got {extras}")
        if not isinstance(self.sampler, Sampler):
            raise TypeError(
                f"sampler: expected Uniform(), Proportional() or RankBased(), got {self.sampler!r}"
            )

    @classmethod
    def of(
        cls,
        capacity: Any,
        observation_space: Any,
        action_space: Any,
        *,
        frame_stack: int | Mapping[str, int] | None,
        extras: Mapping[str, Any] | None,
        **options: Any,
    ) -> BufferSpec:
        """The description of what a constructor was given."""
        obs = ObsLayout.of(observation_space, frame_stack)
        return cls(capacity, obs, action_spec(action_space), extras=extra_specs(extras), **options)

    def core_arguments(self) -> dict[str, Any]:
        """The same as the compiled core takes it."""
        return {
            "capacity": self.capacity,
            "num_envs": self.num_envs,
            "n_step": self.n_step,
            "gamma": self.gamma,
            "obs": [(spec.dtype, spec.shape) for spec in self.obs.specs],
            "stacks": [spec.stack for spec in self.obs.specs],
            "action": (self.action.dtype, self.action.shape),
            "tree": self.obs.tree,
            "extras": [(spec.name, (spec.dtype, spec.shape)) for spec in self.extras],
            "sampler": (self.sampler.name, self.sampler.settings()),
            "compress": self.compress,
            "prefetch": self.prefetch,
            "validate": self.validate,
        }

    def extra_rows(self, extras: Any, lead: tuple[int, ...]) -> list[Any]:
        """The arrays of `extras` in order, each C-contiguous [rows, *shape], never cast; ValueError or TypeError else."""
        names = [spec.name for spec in self.extras]
        given = {} if extras is None else extras
        if not isinstance(given, Mapping) or set(given) != set(names):
            raise ValueError(f"extras: expected a dict with {names}, got {extras!r:.200}")
        return [exact_rows(f"extras[{spec.name}]", given[spec.name], spec, lead) for spec in self.extras]

    def to_json(self) -> str:
        """The description that a snapshot begins with."""
        plain = {name: getattr(self, name) for names in _CONVERTERS.values() for name in names}
        return json.dumps(
            {
                "arguments": plain,
                "sampler": {"name": self.sampler.name, **self.sampler.settings()},
                "obs": [_spec_to_json(spec) for spec in self.obs.specs],
                "tree": _tree_to_json(self.obs.tree),
                "action": _spec_to_json(self.action),
                "extras": [_spec_to_json(spec) for spec in self.extras],
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> BufferSpec:
        """The description in a snapshot; one of many exceptions for anything that `to_json` does not write."""
        meta = json.loads(text)
        if set(meta) != {"arguments", "sampler", "obs", "tree", "action", "extras"}:
            raise ValueError(f"expected arguments, sampler, obs, tree, action and extras, got {sorted(meta)}")
        specs = tuple(_spec_from_json(spec) for spec in meta["obs"])
        layout = ObsLayout(specs, _tree_from_json(meta["tree"], iter(range(len(specs)))))
        action, extras = _spec_from_json(meta["action"]), [_spec_from_json(spec) for spec in meta["extras"]]
        spec = cls(1, layout, action, sampler=_sampler_from_json(meta["sampler"]), extras=tuple(extras))
        return replace(spec, **_checked_arguments(meta["arguments"]))


_CONVERTERS: dict[Any, tuple[str, ...]] = {
    as_int: ("capacity", "num_envs", "n_step", "prefetch"),
    as_float: ("gamma",),
    as_bool: ("compress", "validate"),
}
_TYPES = {as_int: int, as_float: float, as_bool: bool}  # as JSON has them


def _checked_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    types = {name: _TYPES[convert] for convert, names in _CONVERTERS.items() for name in names}
    if set(arguments) != set(types):
        raise ValueError(f"expected the arguments {sorted(types)}, got {sorted(arguments)}")
    for name, value in arguments.items():
        if type(value) is not types[name]:
            raise TypeError(f"{name} is no {types[name].__name__}")
    return arguments


def _sampler_from_json(settings: dict[str, Any]) -> Sampler:
    cls = SAMPLERS[settings["name"]]
    known = cls().settings()
    given = {name: value for name, value in settings.items() if name != "name"}
    if set(given) != set(known):
        raise ValueError(f"expected the settings {sorted(known)} of a sampler, got {sorted(given)}")
    for name, value in given.items():
        if type(value) is not type(known[name]):
            raise TypeError(f"{name} is no {type(known[name]).__name__}")
    return cls(**given)


def _spec_to_json(spec: ArraySpec) -> dict[str, Any]:
    return {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype.str, "stack": spec.stack}


def _spec_from_json(spec: dict[str, Any]) -> ArraySpec:
    shape, stack = spec["shape"], spec["stack"]
    is_plain = isinstance(spec["dtype"], str) and re.fullmatch(r"[|<>=][biufc]\d{1,2}", spec["dtype"])
    if not is_plain or not all(type(number) is int for number in (*shape, stack)):
        raise TypeError(f"{spec['name']!r} has no valid shape, dtype or stack")
    return ArraySpec(str(spec["name"]), tuple(shape), np.dtype(spec["dtype"]), stack)


def _tree_to_json(tree: Any) -> Any:
    if isinstance(tree, int):
        return tree
    if isinstance(tree, dict):
        return {"dict": [[key, _tree_to_json(child)] for key, child in tree.items()]}
    return {"tuple": [_tree_to_json(child) for child in tree]}


def _tree_from_json(tree: Any, leaves: Iterator[int]) -> Any:
    """The structure back; its leaves are 0, 1, 2 ... in order, each once."""
    if type(tree) is int:
        if tree != next(leaves, None):
            raise ValueError(f"array {tree} is out of place in the structure of observations")
        return tree
    if "dict" in tree:
        return {str(key): _tree_from_json(child, leaves) for key, child in tree["dict"]}
    return tuple(_tree_from_json(child, leaves) for child in tree["tuple"])
