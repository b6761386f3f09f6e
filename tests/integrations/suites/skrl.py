"""skrl's tests of its memories, and those of its off-policy agents, which run on one."""

from __future__ import annotations

from suites import Suite


def put_in() -> None:
    """Puts the memory in the places of the library's base class and of the memory of its agents' tests."""
    import skrl.memories.torch

    from mujigae.integrations.skrl import ReplayMemory

    skrl.memories.torch.Memory = skrl.memories.torch.RandomMemory = ReplayMemory


_NAMES = "It makes tensors of any name and reads or writes them whole; this memory has the columns of off-policy agents, and rows in the engine."

SUITE = Suite(
    name="skrl",
    package="skrl",
    files=(
        "tests/memories/torch/test_base.py",
        *(f"tests/agents/torch/test_{name}.py" for name in ("dqn", "ddqn", "ddpg", "td3", "sac")),
    ),
    put_in=put_in,
    replaced=("Memory", "RandomMemory"),
    left_out={"tests/memories/*": _NAMES},
)
