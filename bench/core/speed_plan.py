"""Who is measured, and at what."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.core.environments import TORCH_213, TORCH_215

FLASHBAX = ("flashbax==0.1.3", "jax==0.10.2", "jaxlib==0.10.2", "numpy")
OURS = (*TORCH_213, "gymnasium>=1.1,<2", "ale-py>=0.12,<0.13")
NUM_GAMES = 12
BOTH_STACKS_ROWS = (
    40_000  # of those that store both stacks of a row, so that all fit into memory at the same time
)


class Planned(NamedTuple):
    """A subject: its adapter, what the adapter's constructor gets, the environment, and the kinds of work that it takes part in."""

    adapter: str
    packages: tuple[str, ...]
    works: frozenset[str]
    options: dict[str, Any] = {}  # noqa: RUF012, never changed
    over: tuple[str, ...] = ()
    is_ours: bool = False
    source: str | None = (
        None  # a python/ folder with its own compiled module, in the place of the wheel of mujigae
    )
    max_atari_rows: int | None = None


_ALL = frozenset(["tree", "atari", "add", "vector", "vector uniform", "uniform"])
_REPLAY = _ALL - {"tree"}
_VECTORS = frozenset(["vector", "vector uniform"])
_FRAMES = frozenset(["atari", "add"])
_SEQUENCES = frozenset(["sequences"])
_ADDS = frozenset(["add", "add env_ids", "add dict"])


def _ours(works: frozenset[str], **options: Any) -> Planned:
    return Planned("bench.peers.mujigae:SpeedSubject", OURS, works, options, is_ours=True)


def _floor(num_threads: int, *works: str) -> Planned:
    return Planned(
        "bench.peers.floor:SpeedSubject", OURS, frozenset(["atari", *works]), {"num_threads": num_threads}
    )


# The libraries beside each torch with which they work: the faster of the two counts, row by row.
SUBJECTS = {
    "mujigae": _ours(_ALL | _ADDS | _SEQUENCES),
    "mujigae, validate=False": _ours(_ADDS, validate=False),
    "mujigae, compress=True": _ours(_FRAMES | {"game"}, compress=True),
    "mujigae, compress=True, validate=False": _ours(frozenset(["add"]), compress=True, validate=False),
    "mujigae, prefetch=2": _ours(frozenset(["atari"]), prefetch=2),
    "mujigae, compress=True, prefetch=2": _ours(frozenset(["atari"]), compress=True, prefetch=2),
    "torchrl": Planned(
        "bench.peers.torchrl:SpeedSubject", TORCH_215, _ALL | _SEQUENCES, max_atari_rows=BOTH_STACKS_ROWS
    ),
    "tianshou": Planned("bench.peers.tianshou:SpeedSubject", (*TORCH_213, "tianshou==2.0.1"), _ALL),
    "tianshou, torch 2.15": Planned(
        "bench.peers.tianshou:SpeedSubject", ("tianshou==2.0.1",), _REPLAY, over=TORCH_215
    ),
    "cpprb": Planned("bench.peers.cpprb:SpeedSubject", (*TORCH_213, "cpprb==11.0.0"), _REPLAY),
    "cpprb, torch 2.15": Planned(
        "bench.peers.cpprb:SpeedSubject", ("cpprb==11.0.0", "numpy"), _REPLAY, over=TORCH_215
    ),
    "stable-baselines3": Planned(
        "bench.peers.stable_baselines3:SpeedSubject",
        (*TORCH_213, "stable-baselines3==2.9.2"),
        _REPLAY,
        max_atari_rows=BOTH_STACKS_ROWS,
    ),
    "stable-baselines3, torch 2.15": Planned(
        "bench.peers.stable_baselines3:SpeedSubject",
        ("stable-baselines3==2.9.2",),
        _REPLAY - {"atari"},
        over=TORCH_215,
    ),
    "sumtree": Planned("bench.peers.sumtree:SpeedSubject", ("sumtree==0.3.0", "numpy"), frozenset(["tree"])),
    "flashbax": Planned("bench.peers.flashbax:SpeedSubject", FLASHBAX, _SEQUENCES),
    "rlox": Planned(
        "bench.peers.rlox:SpeedSubject", ("rlox==1.2.0", "numpy", *TORCH_213), _VECTORS | {"uniform"}
    ),
    "numpy": Planned("bench.peers.numpy:SpeedSubject", OURS, frozenset(["tree"])),
    "floor, 1 thread": _floor(1, "sequences", *_VECTORS),
    "floor, 2 threads": _floor(2),
}


class Size(NamedTuple):
    """How much, how long."""

    seconds: float = 0.25  # of each visit, at least
    visits: int = 6
    recorded_steps: int = 100_000
    atari_rows: int = 100_000
    add_rows: int = 5_000
    vector_rows: int = 1_000_000
    uniform_rows: int = 100_000
    max_leaves: int = 10_000_000
    floor_bytes: int = 2_100_000_000


FULL = Size()
QUICK = Size(0.02, 2, 12_000, 12_000, 2_400, 20_000, 10_000, 100_000, 200_000_000)


class Group(NamedTuple):
    """A filled structure and what is done with it."""

    name: str
    work: str
    operations: tuple[tuple[str, int], ...]
    capacity: int | str = 0  # a number, or the field of Size
    options: dict[str, Any] = {}  # noqa: RUF012, never changed
    tells_memory: bool = False

    @property
    def needs_recording(self) -> bool:
        return self.work == "atari" or self.work.startswith("add")

    def takes(self, subject: Planned) -> bool:
        wanted = "game" if "game" in self.options else self.work
        return wanted in subject.works

    def request(self, size: Size, subject: Planned) -> dict[str, Any]:
        """What a child is told to prepare."""
        capacity = size._asdict()[self.capacity] if isinstance(self.capacity, str) else self.capacity
        if self.work == "tree":
            capacity = min(capacity, size.max_leaves)
        if self.work == "atari":
            capacity = min(capacity, subject.max_atari_rows or capacity)
        recording = {"recorded_steps": size.recorded_steps, "floor_bytes": size.floor_bytes}
        return {"work": self.work, "capacity": capacity, **recording, **self.options}


def _of(operation: str) -> tuple[tuple[str, int], ...]:
    return tuple((operation, batch_size) for batch_size in (32, 256, 2048))


_DRAWS = _of("draw")
_UPDATES = (*_of("update"), *_of("update drawn"))
_CYCLES = tuple(("cycle", batch_size) for batch_size in (32, 128, 256, 512, 2048))

_GROUPS = [
    Group("tree 10^4", "tree", _DRAWS, 10**4),
    Group("tree 10^5", "tree", (("draw", 256),), 10**5),
    Group("tree 2^20", "tree", _DRAWS + _UPDATES, 2**20),
    Group("tree 10^7", "tree", _DRAWS, 10**7),
    Group("atari", "atari", (*_CYCLES, ("wait", 32)), "atari_rows", tells_memory=True),
    Group("add 1", "add", (("add", 64),), "add_rows", {"num_envs": 1}),
    Group("add 8", "add", (("add", 64),), "add_rows", {"num_envs": 8}),
    *(
        Group(f"{work} {num_envs}", work, (("add", 64),), "add_rows", {"num_envs": num_envs})
        for work in ("add env_ids", "add dict")
        for num_envs in (1, 8)
    ),
    Group("vector", "vector", (*_of("cycle"), ("sample", 2048)), "vector_rows"),
    Group("vector uniform", "vector uniform", _of("sample"), "vector_rows"),
    Group("sequences", "sequences", (("sample", 64),), "vector_rows"),
    Group("uniform", "uniform", (("sample", 32), ("sample", 256)), "uniform_rows"),
    *(
        Group(f"game {game}", "atari", (), "atari_rows", {"game": game}, tells_memory=True)
        for game in range(NUM_GAMES)
    ),
]
GROUPS = {group.name: group for group in _GROUPS}
