"""A random walk through everything that may be done to a buffer; after each step the engine equals its twin."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import hypothesis.strategies as st
import numpy as np
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from streams import Space
from twins import Column, Plan, Twins

from mujigae import Proportional, RankBased, Uniform

SEEDS = st.integers(0, 2**32 - 1)
SMALL = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33]
LARGE = [255, 256, 257, 1000]
USUAL_SIZE = 5  # of a batch: another one drops what was drawn ahead
PROBABILITIES = st.sampled_from([0.0, 0.05, 0.3, 1.0])
COLUMNS = st.builds(
    Column,
    stack=st.sampled_from([1, 2, 3, 4]),
    planes=st.sampled_from([1, 1, 3]),
    dtype=st.sampled_from(["uint8", "uint8", "float32", "int16"]),
    width=st.sampled_from([2, 2, 2, 1100]),
)
ALPHAS, BETAS = st.sampled_from([0.0, 0.5, 0.6, 1.0]), st.sampled_from([0.0, 0.4, 1.0])
SAMPLERS = st.one_of(
    st.builds(Uniform, st.booleans()),
    st.builds(
        Proportional,
        ALPHAS,
        BETAS,
        eps=st.sampled_from([0.0, 1e-6]),
        stratified=st.booleans(),
        uniform_share=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
        replacement=st.sampled_from([True, True, False]),
    ),
    st.builds(RankBased, ALPHAS, BETAS),
)
ARGUMENTS = st.fixed_dictionaries(
    {
        "n_step": st.integers(1, 5),
        "gamma": st.sampled_from([0.0, 0.5, 0.99, 1.0]),
        "compress": st.booleans(),
        "prefetch": st.integers(0, 3),
        "validate": st.sampled_from([True, True, True, False]),
        "seed": SEEDS,
    }
)


@st.composite
def plans(draw: st.DrawFn, capacities: list[int]) -> Plan:
    num_envs = draw(st.integers(1, 4))
    structure = draw(st.sampled_from(["array", "dict", "tuple"]))
    most = 1 if structure == "array" else 2
    return Plan(
        capacity=max(num_envs, draw(st.sampled_from(capacities))),
        num_envs=num_envs,
        columns=tuple(draw(st.lists(COLUMNS, min_size=1, max_size=most))),
        structure=structure,
        values=draw(st.sampled_from([2, 200])),
        action=draw(st.sampled_from([Space((), np.int64), Space((2,), np.float32)])),
        sampler=draw(SAMPLERS),
        arguments=draw(ARGUMENTS),
    )


class BufferMachine(RuleBasedStateMachine):
    """`num_operations` counts the steps of every machine in this process."""

    capacities: ClassVar[list[int]] = SMALL
    num_operations: ClassVar[int] = 0

    @initialize(data=st.data())
    def construct(self, data: st.DataObject) -> None:
        self.twins = Twins(data.draw(plans(self.capacities)))
        self.rng = np.random.default_rng(self.twins.plan.arguments["seed"])
        self.folder = tempfile.TemporaryDirectory()
        self.keys = np.zeros(0, np.int64)  # of batches drawn so far, most of them stale by now
        self.held: list[tuple[Any, bytes]] = []  # batches in hand and what they were

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @property
    def vouches(self) -> bool:
        return not self.twins.plan.arguments["validate"]

    def ids(self) -> Any:
        """Some environments, each once, in any order."""
        num_envs = self.twins.plan.num_envs
        return self.rng.permutation(num_envs)[: self.rng.integers(1, num_envs + 1)]

    @rule(times=st.integers(1, 12), end=PROBABILITIES, silent=st.sampled_from([0.0, 0.1]))
    def add(self, times: int, end: float, silent: float) -> None:
        for _ in range(times):
            self.twins.add(self.rng, self.ids(), end, 0.0 if self.vouches else silent)

    @rule(num_steps=st.integers(0, 40), end=PROBABILITIES, silent=st.sampled_from([0.0, 0.1]))
    def extend(self, num_steps: int, end: float, silent: float) -> None:
        if num_steps > 0:
            self.twins.extend(self.rng, num_steps, self.ids(), end, 0.0 if self.vouches else silent)

    @precondition(lambda self: not self.vouches)
    @rule()
    def reset_behind_the_buffers_back(self) -> None:
        for env in self.ids():
            self.twins.reset(self.rng, env)

    @rule(
        batch_size=st.one_of(st.just(USUAL_SIZE), st.integers(1, 33)),
        beta=st.sampled_from([None, 0.0, 0.7, 1.0]),
    )
    def sample(self, batch_size: int, beta: float | None) -> None:
        batch = self.twins.sample(batch_size, beta)
        if batch is not None:
            self.keys = np.concatenate([self.keys, batch.key])[-300:]
            self.held = [*self.held, (batch, bytes_of(batch))][-3:]

    @precondition(lambda self: self.held)
    @rule()
    def refill(self) -> None:
        batch, _ = self.held.pop()
        self.twins.sample(len(batch.key), out=batch)

    @precondition(lambda self: self.twins.plan.has_priorities)
    @rule(
        count=st.integers(0, 20),
        scale=st.sampled_from([0.0, 1e-300, 1e-6, 1.0, 1e8, 1e100]),
        foreign=st.sampled_from([None, None, None, -1, 2**40, 2**62]),
    )
    def update_priorities(self, count: int, scale: float, foreign: int | None) -> None:
        """Keys live, stale and more than once; a key that was never issued changes nothing."""
        keys = self.rng.choice(self.keys, count) if len(self.keys) else np.zeros(0, np.int64)
        if foreign is not None:
            keys = np.append(keys, foreign)
        self.twins.update_priorities(keys, scale * self.rng.lognormal(0.0, 2.0, len(keys)))

    @rule()
    def save_and_load(self) -> None:
        self.twins.save_and_load(Path(self.folder.name))

    @rule(is_meant=st.sampled_from([True, False, False]))
    def clear(self, is_meant: bool) -> None:
        if is_meant:
            self.twins.both(lambda buffer: buffer.clear())

    @rule(
        is_meant=st.sampled_from([True, False, False]),
        env_ids=st.none() | st.lists(st.integers(0, 4), max_size=3),
    )
    def end_episodes(self, is_meant: bool, env_ids: list[int] | None) -> None:
        """Of all environments or of some; ids that are out of range or come twice are refused by both."""
        if is_meant:
            self.twins.both(lambda buffer: buffer.end_episodes(env_ids))

    @rule(n_step=st.integers(1, 7))
    def set_n_step(self, n_step: int) -> None:
        self.twins.set("n_step", n_step)

    @rule(gamma=st.sampled_from([0.0, 0.9, 1.0]))
    def set_gamma(self, gamma: float) -> None:
        self.twins.set("gamma", gamma)

    @precondition(lambda self: self.twins.plan.has_priorities)
    @rule(alpha=st.sampled_from([0.0, 0.3, 1.0]), beta=st.sampled_from([0.0, 0.5, 1.0]))
    def set_alpha_and_beta(self, alpha: float, beta: float) -> None:
        self.twins.set("alpha", alpha)
        self.twins.set("beta", beta)

    @rule(env=st.sampled_from([-1, 99]))
    def add_what_is_refused(self, env: int) -> None:
        streams = copy.deepcopy(self.twins.streams)
        transitions = self.twins.steps(self.rng, [0], 0.0, 0.0)
        self.twins.streams = streams  # the step has not been taken
        a, _ = self.twins.both(lambda buffer: buffer.add(*transitions, env_ids=[env]))
        assert isinstance(a, IndexError)

    @invariant()
    def engine_equals_its_twin(self) -> None:
        if not hasattr(self, "twins"):
            return
        BufferMachine.num_operations += 1
        self.twins.check()
        self.twins.sample(USUAL_SIZE)
        for batch, content in self.held:
            assert bytes_of(batch) == content, "a batch in hand has changed"


def bytes_of(batch: Any) -> bytes:
    """The content of a batch, of dicts and tuples too."""
    if isinstance(batch, dict):
        return b"".join(bytes_of(value) for value in batch.values())
    if isinstance(batch, tuple):
        return b"".join(bytes_of(value) for value in batch)
    return bytes(batch.tobytes())


class LargeBufferMachine(BufferMachine):
    """Capacities that a walk does not fill by itself: it begins with more rows than the buffer has."""

    capacities: ClassVar[list[int]] = LARGE

    @initialize(data=st.data(), end=st.sampled_from([0.0, 0.02]))
    def construct(self, data: st.DataObject, end: float = 0.0) -> None:
        super().construct(data)
        num_steps = self.twins.plan.capacity // self.twins.plan.num_envs + 20
        self.twins.extend(self.rng, num_steps, np.arange(self.twins.plan.num_envs), end, 0.0)
