"""Who trains, with which switches, and for how long."""

from __future__ import annotations

from typing import Any, NamedTuple

TORCH = "torch==2.13.0"
STABLE_BASELINES3 = "stable-baselines3==2.9.2"
ALE = "ale-py>=0.12,<0.13"
SEED = 0
CAPACITY = 100_000


class Trainer(NamedTuple):
    """An adapter, the switches that it gets, and its environment: none for ours, which runs where the script does."""

    adapter: str
    switches: dict[str, Any] = {}  # noqa: RUF012, never changed
    packages: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    needs_cuda: bool = False


class Size(NamedTuple):
    """How long, how often."""

    peer_seconds: float = 30.0
    peer_visits: int = 3
    ablation_seconds: float = 10.0
    ablation_visits: int = 2
    warm_updates: int = 16
    learning_starts: int = 500


FULL = Size()
QUICK = Size(3.0, 1, 1.0, 1, 3, 100)

# Each row has the switches of the rows above it: nothing, then one added at a time.
STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("nothing", {"num_envs": 1}),
    ("+ 16 environments", {"num_envs": 16}),
    ("+ channels_last", {"channels_last": True}),
    ("+ torch.compile", {"compile": True}),
    ("+ overlap", {"overlap": True}),
)
BEST: dict[str, Any] = {name: value for _, switches in STEPS for name, value in switches.items()}

# On top of the last row, each by itself.
ASIDE: dict[str, Trainer] = {
    "... and bfloat16": Trainer("bench.peers.mujigae:Training", BEST | {"precision": "bfloat16"}),
    "... on CUDA": Trainer("bench.peers.mujigae:Training", BEST | {"device": "cuda"}, needs_cuda=True),
    "... on CUDA, CUDA graphs": Trainer(
        "bench.peers.mujigae:Training", BEST | {"device": "cuda", "cuda_graphs": True}, needs_cuda=True
    ),
    "... on CUDA, CUDA graphs, frames on the device": Trainer(
        "bench.peers.mujigae:Training",
        BEST | {"device": "cuda", "cuda_graphs": True, "frames_on_device": True},
        needs_cuda=True,
    ),
}


def added_one_by_one() -> dict[str, Trainer]:
    """The rows of the ablation up to the last switch."""
    switches: dict[str, Any] = {}
    rows = {}
    for name, more in STEPS:
        switches = switches | more
        rows[name] = Trainer("bench.peers.mujigae:Training", switches)
    return rows


GROUPS: dict[str, dict[str, Trainer]] = {
    "ablation": {**added_one_by_one(), **ASIDE},
    "peers": {
        "mujigae": Trainer(
            "bench.peers.mujigae:Training", BEST
        ),  # or the switches of the ablation's fastest row
        "CleanRL": Trainer(
            "bench.peers.cleanrl:Training",
            packages=(
                *(TORCH, STABLE_BASELINES3, "gymnasium==0.29.1", "ale-py==0.10.1", "numpy<2"),
                *("opencv-python-headless<4.12", "tyro", "tensorboard"),
            ),
        ),
        "PFRL": Trainer(
            "bench.peers.pfrl:Training",
            packages=(TORCH, "pfrl==0.4.0", ALE, "gymnasium", "packaging", "numpy<2"),
        ),
        "Stable-Baselines3": Trainer(
            "bench.peers.stable_baselines3:Training",
            packages=(TORCH, STABLE_BASELINES3, ALE, "opencv-python-headless"),
        ),
    },
}
