"""The friendly shell of the replay buffers: checks arguments by name, then makes one call into the compiled core."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, SupportsIndex

import numpy as np

from mujigae import _core
from mujigae.replay.arguments import (
    as_array,
    as_bool,
    as_bools,
    as_float,
    as_ids,
    as_int,
    as_path,
    as_reals,
    cast,
    rows,
)
from mujigae.replay.batch import Batch, Validity
from mujigae.replay.doubts import MANY, doubt_of
from mujigae.replay.placement import placement_of
from mujigae.replay.restoring import from_pieces
from mujigae.replay.rows import RowAccess
from mujigae.replay.samplers import PrioritySampler, Sampler, Uniform
from mujigae.replay.spec import BufferSpec

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ReplayBuffer", "Seed"]

Seed = int | np.random.SeedSequence | None
_UNIFORM = Uniform()
# Others are those of a subclass.
_ATTRIBUTES = frozenset(("_spec", "_place", "_placement", "_has_warned", "_core", "_all_envs"))


class ReplayBuffer(RowAccess):
    """Stores transitions of several environments, every frame once, and draws n-step batches.

    Args:
        capacity: rows over all environments; environment e owns capacity // num_envs of them, one more for the first
            capacity % num_envs. A full environment evicts its own oldest row.
        observation_space: anything with `.shape` and `.dtype`, a Gymnasium Dict or Tuple of those, or
            `{"name": (shape, dtype)}`.
        action_space: anything with `.shape` and `.dtype`, or `(shape, dtype)`.
        num_envs: environments, E.
        frame_stack: k when axis 0 of an observation is a rolling stack of k frames (its extent a multiple of k); only
            the newest is stored. For Dict and Tuple spaces `{"name": k}`, nested names as "a.b".
        n_step: steps in a return; computed when a batch is drawn, so it may be changed at any time.
        gamma: discount of one step; may be changed at any time.
        sampler: how rows are chosen: `Uniform()`, `Proportional()`, `RankBased()`; see there.
        extras: more fields of a row, `{"log_prob": ((), np.float32)}`: given to `add`, found in `Batch.extras`.
        compress: store each frame in as few bytes as the frame before it allows, lossless: 84x84 Atari frames take about a
            thirtieth. Adding takes longer; draws and batches are the same. Observations whose frame has fewer than 1024 bytes
            are stored as they are.
        path: None for memory. Otherwise a new file that holds rows, frames and priorities from now on, and may be larger
            than memory; an existing one is a FileExistsError: `load` it. See `flush` for what survives.
        device: None for NumPy arrays; "cpu", "cuda", ... for torch tensors.
        frames_on_device: keep a copy of every frame on the device as well: only new frames cross the bus, and batches are
            gathered there. The host keeps its frames for `save` and `validate`. Nothing is left to prefetch.
        prefetch: d batches drawn ahead and gathered by threads, for d batches of memory more. Batch t + d is drawn when t is
            handed out: its rows and priorities are d batches old. Another batch size, n_step, gamma or alpha, `clear` and
            the reopening of a `path` drop them; the next draw begins with the random numbers of the first one dropped.
        validate: check that stacks roll and that next_obs meets the following obs; without it the caller vouches.
        seed: int, numpy SeedSequence, or None for one from the operating system.

    Raises ValueError or TypeError naming the argument, what was expected and what came; a capacity that would not fit into
    memory (or onto the disk) is one, before anything is allocated. An error changes nothing.
    Any thread may call anything, and write into the arguments of a call meanwhile: indices, rewards, flags and priorities are
    read once; of a frame or an action that changes, that row alone holds what it never was. To resize an array in use behind
    NumPy's back (`resize(refcheck=False)`) is the caller's fault, as it is in NumPy. A buffer pickles, and is copied, through its snapshot; with `path` too, into memory. A fork
    may go on with its copy of a buffer in memory; one with `path` stays with the process that opened it.
    """

    _sampler_class: ClassVar[type[Sampler] | None] = None  # the only one that it takes, if there is one

    def __init__(
        self,
        capacity: int,
        observation_space: Any,
        action_space: Any,
        *,
        num_envs: int = 1,
        frame_stack: int | Mapping[str, int] | None = None,
        n_step: int = 1,
        gamma: float = 0.99,
        sampler: Sampler = _UNIFORM,
        extras: Mapping[str, Any] | None = None,
        compress: bool = False,
        path: str | os.PathLike[str] | None = None,
        device: Any = None,
        frames_on_device: bool = False,
        prefetch: int = 0,
        validate: bool = True,
        seed: Seed = None,
    ) -> None:
        spec = BufferSpec.of(
            capacity,
            observation_space,
            action_space,
            num_envs=num_envs,
            frame_stack=frame_stack,
            n_step=n_step,
            gamma=gamma,
            sampler=sampler,
            extras=extras,
            compress=compress,
            prefetch=prefetch,
            validate=validate,
        )
        place = device, as_bool("frames_on_device", frames_on_device)
        self._construct(spec, place, seed, None if path is None else (as_path(path), "new"))

    @classmethod
    def _of_spec(cls, spec: BufferSpec, file: tuple[bytes, str] | None) -> Self:
        if cls._sampler_class is not None and not isinstance(spec.sampler, cls._sampler_class):
            raise TypeError(
                f"{cls.__name__} has a {cls._sampler_class.__name__} sampler, not {spec.sampler!r}"
            )
        buffer = cls.__new__(cls)
        buffer._construct(spec, (None, False), seed=0, file=file)
        return buffer

    def _construct(
        self,
        spec: BufferSpec,
        place: tuple[Any, bool],
        seed: Seed,
        file: tuple[bytes, str] | None,
    ) -> None:
        """file: its path, and "new", "old" or "copy"."""
        self._spec = spec
        self._place_batches(*place)
        self._has_warned = False
        described = None if file is None else (file[0], spec.to_json(), file[1])
        self._core: _core.Buffer = self._make_core(seed=seed, file=described, **spec.core_arguments())
        self._all_envs = np.arange(spec.num_envs)

    def _place_batches(self, device: Any, frames_on_device: bool) -> None:
        if frames_on_device and self._spec.prefetch > 0:
            raise ValueError(f"prefetch: expected 0 with frames_on_device, got {self._spec.prefetch}")
        self._place = None if device is None else str(device), frames_on_device
        self._placement = placement_of(device, self._spec, frames_on_device)

    def _make_core(self, **arguments: Any) -> _core.Buffer:
        return _core.Buffer(**arguments)

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
        *,
        priority: Any = None,
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds one transition of each environment, or of those in `env_ids` (each once, in any order).

        Shapes have a leading axis of environments [E, ...]; with num_envs=1 all arguments alike may leave it out.

        Args:
            obs: [E, *obs_shape], exactly the space's dtype: s_t.
            action: [E, *action_shape], cast to the space's dtype as NumPy's "same_kind" allows (integers to floats too); integers
                that would change are refused.
            reward: [E] real and finite; at most the n_step-th part of the largest float32 either way, so that every sum of
                n_step rewards fits. An n_step with which one of those held does not fit is refused, too.
            next_obs: as obs: the true successor, never the reset observation.
            terminated: [E] bool: next_obs is terminal, nothing is bootstrapped from it.
            truncated: [E] bool: the episode was cut here, next_obs is bootstrapped from. Both: terminated wins.
            env_ids: [E] integers, or None for all environments in order.
            priority: [E] at least 0: the first priorities of these rows, instead of the largest so far.
            extras: {name: [E, *shape]}, each of the dtype that the buffer's `extras` declare: all of them.

        Exact arrays (the dtypes and shapes above, C-contiguous; int64 ids; float64 or float32 rewards) are read where they
        lie; anything else is converted first.
        Raises ValueError, TypeError or IndexError naming the argument; the buffer is then unchanged. An obs that differs
        from the environment's previous next_obs starts a new episode and is counted in `num_silent_boundaries`. Warns, once,
        of many of those, and of rows that look like the reset steps of Gymnasium's vector environments.
        """
        num_doubtful = self._core.add_exact(
            obs, action, reward, next_obs, terminated, truncated, env_ids, priority, extras
        )
        if num_doubtful is not None:
            if num_doubtful >= MANY:
                self._warn_of_doubtful_starts(stacklevel=3)
            return
        transitions = obs, action, reward, next_obs, terminated, truncated
        transitions, env_ids, more = self._as_numpy((transitions, env_ids, (priority, extras)))
        is_alone = env_ids is None and self.num_envs == 1
        lead = () if is_alone and as_array("reward", transitions[2]).ndim == 0 else None
        self._add(lead, 1, transitions, env_ids, more)

    def extend(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
        *,
        priority: Any = None,
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds T transitions of each environment: as `add`, with a leading time axis [T, E, ...].

        Bad input changes nothing. When memory or disk run out (MemoryError, OSError), the first steps, each for all
        environments, have been added and the others have not.
        """
        transitions = obs, action, reward, next_obs, terminated, truncated
        transitions, env_ids, more = self._as_numpy((transitions, env_ids, (priority, extras)))
        shape = as_array("reward", transitions[2]).shape
        if not shape:
            raise ValueError("reward: expected a leading time axis [T, E], got a scalar")
        lead = shape if env_ids is None and len(shape) == 1 and self.num_envs == 1 else None
        self._add(lead, shape[0], transitions, env_ids, more, time_axis=True)

    def _as_numpy(self, values: Any) -> Any:
        """With a `device` tensors become arrays, wherever they are; without, NumPy reads those on the CPU itself."""
        return self._placement.to_numpy(values) if self._placement.is_torch else values

    def _add(
        self,
        lead: tuple[int, ...] | None,
        num_steps: int,
        transitions: tuple[Any, ...],
        env_ids: Any,
        more: tuple[Any, Any],
        time_axis: bool = False,
    ) -> None:
        ids = self._all_envs if env_ids is None else as_ids("env_ids", env_ids)
        if lead is None:
            lead = (num_steps, *ids.shape) if time_axis else ids.shape
        obs, action, reward, next_obs, terminated, truncated = transitions
        spec = self._spec
        self._core.add(
            spec.obs.rows("obs", obs, lead),
            rows("action", cast("action", action, spec.action.dtype), lead, spec.action.shape),
            rows("reward", as_reals("reward", reward), lead, ()),
            spec.obs.rows("next_obs", next_obs, lead),
            rows("terminated", as_bools("terminated", terminated), lead, ()),
            rows("truncated", as_bools("truncated", truncated), lead, ()),
            ids,
            num_steps,
            self._priority_rows(more[0], lead),
            spec.extra_rows(more[1], lead),
        )
        self._warn_of_doubtful_starts(stacklevel=4)

    def _warn_of_doubtful_starts(self, stacklevel: int) -> None:
        doubt = None if self._has_warned else doubt_of(self._core)
        if doubt is not None:
            self._has_warned = True
            warnings.warn(doubt, stacklevel=stacklevel)

    def sample(self, batch_size: int, beta: float | None = None, out: Batch | None = None) -> Batch:
        """Draws a batch as the sampler says; see `Batch` for its fields.

        Args:
            batch_size: B, at least 1.
            beta: importance-sampling exponent of this batch, None for the sampler's own; of no effect without priorities.
            out: a batch of this buffer and size to refill, instead of a new one.

        A batch is yours: its memory is not reused while you hold it or a view of it.
        Raises ValueError when no row can be drawn yet, or every priority is zero.
        """
        exponent = (
            None
            if beta is None or not isinstance(self._spec.sampler, PrioritySampler)
            else as_float("beta", beta)
        )
        return self._placement.sample(self._core, batch_size, exponent, out)

    def end_episodes(self, env_ids: Any = None) -> None:
        """Ends open episodes as truncated: the last row of one bootstraps from its own next_obs, and can be drawn.

        Args:
            env_ids: [R] integers, each at most once: of these environments only; None for all.

        For when environments are reset behind the buffer's back, as after a restart. Nothing is counted as a silent
        boundary, and `validate` is not needed. An environment without an open episode is left as it is. Raises TypeError,
        ValueError or IndexError for ids that `add` would refuse, and ends none then.
        """
        self._core.end_episodes(None if env_ids is None else as_ids("env_ids", self._as_numpy(env_ids)))

    def reseed(self, seed: Seed) -> None:
        """Draws from another stream from now on: after a fork, in a worker, in a copy."""
        self._core.reseed(seed)

    def clear(self) -> None:
        """Forgets every row and open episode; keys handed out before stay dead, the random stream goes on."""
        self._core.clear()
        self._has_warned = False

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes everything that decides the future: rows, priorities, generator. Atomic and checksummed.

        Loading it gives a buffer in memory, of one with `path` too. Raises OSError, and leaves an existing file as it was,
        when the file cannot be written, `path` is a folder, a device or a pipe, or the file of a buffer that is open
        (BlockingIOError); ValueError for the buffer's own `path`.
        """
        self._core.save(as_path(path), self._spec.to_json())

    def flush(self) -> None:
        """With `path`: everything added up to now is on the disk when this returns. Without: does nothing.

        However the process or the machine ends, `load` then finds every row that was flushed and not evicted since. Those
        added since are lost; evicted ones may come back. A buffer that goes flushes too. OSError when the disk
        fails, or the file has been removed or replaced: `save` then writes the rows elsewhere.
        """
        self._core.flush()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """The snapshot in pieces, of which one at a time is in memory twice; none with protocol 5, which takes them out of band."""
        arrays = self._core.to_pieces(self._spec.to_json())[::-1]
        pieces: list[Any] = []
        while arrays:
            array = arrays.pop()
            pieces.append(pickle.PickleBuffer(array) if int(protocol) >= 5 else array.tobytes())
        has_a_state = getattr(type(self), "__getstate__", None) is not getattr(object, "__getstate__", None)
        own = self.__getstate__() if has_a_state else vars(self)
        if isinstance(own, dict):
            own = {name: value for name, value in own.items() if name not in _ATTRIBUTES}
        return from_pieces, (type(self), pieces, *self._place), own or None

    def check_valid(self) -> Validity:
        """Walks through the whole buffer: true when every structure is sane, else with the reason. O(capacity)."""
        validity: Validity = self._core.check_valid()
        return validity

    @property
    def capacity(self) -> int:
        """Rows over all environments that can be drawn at most."""
        return self._spec.capacity

    @property
    def num_envs(self) -> int:
        """Environments, E."""
        return self._spec.num_envs

    @property
    def n_step(self) -> int:
        """Steps in a return. A larger one makes the newest rows wait longer; no slots are added."""
        return int(self._core.n_step)

    @n_step.setter
    def n_step(self, n_step: int) -> None:
        self._core.n_step = as_int("n_step", n_step)

    @property
    def gamma(self) -> float:
        """Discount of one step."""
        return float(self._core.gamma)

    @gamma.setter
    def gamma(self, gamma: float) -> None:
        self._core.gamma = as_float("gamma", gamma)

    @property
    def nbytes(self) -> int:
        """Bytes that the buffer has set aside, in memory and in its file.

        What no row has used yet is among them, though the system gives such pages only when they are touched. Batches that
        were handed out are not, nor the memory of a few that waits for the next ones.
        """
        return int(self._core.nbytes)

    @property
    def num_silent_boundaries(self) -> int:
        """Rows since the start or `clear` whose obs differed from the next_obs before it."""
        return int(self._core.num_silent_boundaries)

    def __len__(self) -> int:
        """Rows that can be drawn now: their window is complete and nothing of it has been overwritten."""
        return len(self._core)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} of {self.capacity} rows, {self.num_envs} environments)"
