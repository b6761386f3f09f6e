"""What an Atari transition costs in the buffers of other libraries, and in mujigae's under the same interface.

    python bench/integrations/atari.py     writes bench/results/drop_in.json; all libraries are installed in this environment

One stream of real Pong (84x84, stacks of 4, random actions) goes into every buffer, row by row as an agent adds it. Each buffer has a
process of its own. Its bytes are what the process grows by while 100,000 rows are added (anonymous resident memory), the time is
that of `sample(32)` as the library's agent calls it: the median of bursts that take turns between the library's buffer and ours.
CleanRL's buffer is the class in the script that the variable CLEANRL_RAINBOW names (bench/core/cleanrl_script.py fetches it).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    # The root of the repository instead of this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

import mujigae
from bench.core.hardware import describe, processor

RESULT = Path(__file__).resolve().parents[1] / "results/drop_in.json"
NUM_TRANSITIONS, BATCH_SIZE, NUM_STACKED, NUM_ACTIONS = 100_000, 32, 4, 6
NUM_BURSTS, BURST_SECONDS, WARM_SECONDS = 15, 0.2, 5.0
SHAPE = (NUM_STACKED, 84, 84)
OURS = {"mujigae": {}, "compressed": {"compress": True}}


class Step(NamedTuple):
    """One transition; observations [4, 84, 84] uint8."""

    obs: Any
    action: int
    reward: float
    next_obs: Any
    terminated: bool
    truncated: bool


# --- The stream


def record(folder: Path, num_transitions: int) -> None:
    """Frames [N, 84, 84] in the order of the game, and for each step the place of its observation's newest frame."""
    from ale_py.vector_env import AtariVectorEnv

    env = AtariVectorEnv("pong", num_envs=1, stack_num=1, repeat_action_probability=0.25)
    rng = np.random.default_rng(0)
    frames, rows = [env.reset(seed=0)[0][0, 0].copy()], []
    first = 0  # frame of the episode
    while len(rows) < num_transitions:
        action = rng.integers(NUM_ACTIONS, size=1)
        frame, reward, terminated, truncated, _ = env.step(action)
        ends = bool(terminated[0]), bool(truncated[0])
        rows.append((len(frames) - 1, first, int(action[0]), float(reward[0]), *ends))
        frames.append(frame[0, 0].copy())
        if any(ends):
            first = len(frames)
            frames.append(env.step(action)[0][0, 0].copy())  # the step in which the game begins anew
    np.save(folder / "frames.npy", np.stack(frames))
    (folder / "rows.json").write_text(json.dumps(rows))


def steps_of(folder: Path) -> Iterator[Step]:
    """The steps that were recorded; the first frame of an episode is repeated."""
    frames = np.load(folder / "frames.npy", mmap_mode="r")

    def stack(newest: int, first: int) -> Any:
        return np.stack([frames[max(newest - age, first)] for age in range(NUM_STACKED - 1, -1, -1)])

    for newest, first, action, reward, terminated, truncated in json.loads(
        (folder / "rows.json").read_text()
    ):
        yield Step(stack(newest, first), action, reward, stack(newest + 1, first), terminated, truncated)


# --- The buffers, by library: how to make one (the library's own, or ours with options), to add a step, to draw a batch


class StableBaselines3:
    """`ReplayBuffer`, uniform, as its DQN makes it."""

    packages = ("stable-baselines3",)
    theirs, ours = "stable_baselines3.common.buffers", "mujigae.integrations.stable_baselines3"

    def __init__(self, module: str, capacity: int, **options: Any) -> None:
        from gymnasium.spaces import Box, Discrete

        if options or module == self.ours:
            options["frame_stack"] = NUM_STACKED
        spaces = Box(0, 255, SHAPE, np.uint8), Discrete(NUM_ACTIONS)
        self.buffer = importlib.import_module(module).ReplayBuffer(capacity, *spaces, "cpu", **options)

    def add(self, step: Step) -> None:
        ends = np.array([step.terminated or step.truncated])
        infos = [{"TimeLimit.truncated": step.truncated and not step.terminated}]
        arrays = np.array([step.action]), np.array([step.reward], np.float32), ends
        self.buffer.add(step.obs[None], step.next_obs[None], *arrays, infos)

    def sample(self) -> Any:
        return self.buffer.sample(BATCH_SIZE).observations


class Tianshou:
    """`PrioritizedVectorReplayBuffer` of one environment, frames once, as its Atari examples make it."""

    packages = ("tianshou",)
    theirs, ours = "tianshou.data", "mujigae.integrations.tianshou"

    def __init__(self, module: str, capacity: int, **options: Any) -> None:
        frames = {"stack_num": NUM_STACKED, "ignore_obs_next": True, "save_only_last_obs": True}
        cls = importlib.import_module(module).PrioritizedVectorReplayBuffer
        self.buffer = cls(capacity, 1, alpha=0.6, beta=0.4, **frames, **options)

    def add(self, step: Step) -> None:
        from tianshou.data import Batch

        rows = {"obs": step.obs, "act": step.action, "rew": step.reward, "obs_next": step.next_obs}
        flags = {"terminated": step.terminated, "truncated": step.truncated}
        columns = {name: np.asarray(value)[None] for name, value in (rows | flags).items()}
        self.buffer.add(Batch(**columns, info=Batch()), buffer_ids=np.array([0]))

    def sample(self) -> Any:
        return self.buffer.sample(BATCH_SIZE)[0].obs


class TorchRL:
    """`TensorDictReplayBuffer`, uniform, over the storage of either."""

    packages = ("torchrl", "tensordict")
    theirs, ours = "torchrl.data", "mujigae.integrations.torchrl"

    def __init__(self, module: str, capacity: int, **options: Any) -> None:
        from torchrl.data import TensorDictReplayBuffer

        storages = importlib.import_module(module)
        if module == self.ours:
            storage = storages.FrameStorage(capacity, frame_stack={"pixels": NUM_STACKED}, **options)
        else:
            storage = storages.LazyTensorStorage(capacity)
        self.buffer = TensorDictReplayBuffer(storage=storage, batch_size=BATCH_SIZE)

    def add(self, step: Step) -> None:
        import torch
        from tensordict import TensorDict

        flags = {
            "terminated": step.terminated,
            "truncated": step.truncated,
            "done": step.terminated or step.truncated,
        }
        ends = {name: torch.tensor([[flag]]) for name, flag in flags.items()}
        following = {
            "pixels": torch.from_numpy(step.next_obs)[None],
            "reward": torch.tensor([[step.reward]]),
            **ends,
        }
        fields = {"pixels": torch.from_numpy(step.obs)[None], "action": torch.tensor([step.action])}
        self.buffer.extend(TensorDict(fields | {"next": TensorDict(following, [1])}, [1]))

    def sample(self) -> Any:
        return self.buffer.sample()["pixels"]


class CleanRL:
    """`PrioritizedReplayBuffer` of rainbow_atari.py, n = 3."""

    packages = ()
    theirs, ours = "bench.peers.cleanrl", "mujigae.integrations.cleanrl"

    def __init__(self, module: str, capacity: int, **options: Any) -> None:
        import torch

        found = importlib.import_module(module)
        cls = (
            found.PrioritizedReplayBuffer if module == self.ours else found.THEIRS["PrioritizedReplayBuffer"]
        )
        self.buffer = cls(capacity, SHAPE, torch.device("cpu"), 3, 0.99, 0.5, 0.4, 1e-6, **options)

    def add(self, step: Step) -> None:
        self.buffer.add(step.obs, step.action, step.reward, step.next_obs, step.terminated)

    def sample(self) -> Any:
        return self.buffer.sample(BATCH_SIZE).observations


class Cpprb:
    """`PrioritizedReplayBuffer` with `next_of` and `stack_compress`."""

    packages = ("cpprb",)
    theirs, ours = "cpprb", "mujigae.integrations.cpprb"

    def __init__(self, module: str, capacity: int, **options: Any) -> None:
        obs = {
            "shape": (*SHAPE[1:], SHAPE[0]),
            "dtype": np.uint8,
        }  # stacks along the last axis, as it wants them
        columns = {"obs": obs, "act": {"dtype": np.int64}, "rew": {}, "done": {}}
        frames = {"next_of": "obs", "stack_compress": "obs"}
        cls = importlib.import_module(module).PrioritizedReplayBuffer
        self.buffer = cls(capacity, columns, alpha=0.6, **frames, **options)

    def add(self, step: Step) -> None:
        obs, next_obs = (np.moveaxis(stack, 0, -1) for stack in (step.obs, step.next_obs))
        self.buffer.add(
            obs=obs, act=step.action, rew=step.reward, next_obs=next_obs, done=float(step.terminated)
        )
        if step.terminated or step.truncated:
            self.buffer.on_episode_end()

    def sample(self) -> Any:
        return self.buffer.sample(BATCH_SIZE, beta=0.4)["obs"]


LIBRARIES: dict[str, Callable[..., Any]] = {
    "Stable-Baselines3": StableBaselines3,
    "Tianshou": Tianshou,
    "TorchRL": TorchRL,
    "CleanRL": CleanRL,
    "cpprb": Cpprb,
}


# --- A process that holds one buffer


def serve(library: str, variant: str, folder: Path) -> None:
    """Fills a buffer, prints what it cost, then the time of a draw for each line that comes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    cls: Any = LIBRARIES[library]
    module = cls.theirs if variant == "theirs" else cls.ours
    num_rows = len(json.loads((folder / "rows.json").read_text()))

    def filled(capacity: int) -> Any:
        buffer = cls(module, capacity, **OURS.get(variant, {}))
        for _, step in zip(range(capacity), steps_of(folder), strict=False):
            buffer.add(step)
        return buffer

    filled(64).sample()  # loads and compiles what every buffer needs
    before = anonymous_bytes()
    buffer = filled(num_rows)
    print(
        json.dumps({"resident_bytes": anonymous_bytes() - before, "rows": num_rows}), file=answers, flush=True
    )
    check(buffer)
    for number, _ in enumerate(sys.stdin):
        if number == 0:
            burst(buffer, WARM_SECONDS)  # other buffers were filled meanwhile
        print(json.dumps(burst(buffer)), file=answers, flush=True)


def anonymous_bytes() -> int:
    """Resident memory that is no file's."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def check(buffer: Any) -> None:
    """What is drawn are images of the game, which differ."""
    drawn = np.asarray(buffer.sample())
    assert drawn.shape[0] == BATCH_SIZE, drawn.shape
    assert drawn[0].size == np.prod(SHAPE), drawn.shape
    assert drawn.std() > 1, "one colour"


def burst(buffer: Any, for_seconds: float = BURST_SECONDS) -> float:
    """Median seconds of a draw."""
    seconds = []
    end = time.perf_counter() + for_seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        buffer.sample()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


# --- All of them


class Process:
    """One buffer elsewhere."""

    def __init__(self, library: str, variant: str, folder: Path) -> None:
        command = [sys.executable, __file__, "--serve", library, variant, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seconds: list[float] = []
        self.cost = self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a buffer's process has ended; its error is above")
        return json.loads(line)

    def time(self) -> None:
        assert self.process.stdin is not None
        print("time", file=self.process.stdin, flush=True)
        self.seconds.append(self._read())

    def result(self) -> dict[str, Any]:
        self.process.kill()
        self.process.wait()
        bytes_each = self.cost["resident_bytes"] / self.cost["rows"]
        return {"bytes_per_transition": round(bytes_each), "sample_seconds": statistics.median(self.seconds)}


def measured(library: str, folder: Path) -> dict[str, Any]:
    """All variants of one library: filled one after the other, timed in turns."""
    cls: Any = LIBRARIES[library]
    processes = {variant: Process(library, variant, folder) for variant in ("theirs", *OURS)}
    for _ in range(NUM_BURSTS):
        for process in processes.values():
            process.time()
    versions = {name: metadata.version(name) for name in cls.packages}
    return {"what": cls.__doc__, "versions": versions} | {
        name: one.result() for name, one in processes.items()
    }


def others(options: argparse.Namespace) -> dict[str, Any]:
    """What was measured before of the libraries that are left out now, on this processor with as many rows."""
    if not RESULT.exists():
        return {}
    before = json.loads(RESULT.read_text())
    is_alike = before["rows"] == options.transitions and before["machine"]["processor"] == processor()
    return {
        name: one for name, one in before["libraries"].items() if is_alike and name not in options.libraries
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transitions", type=int, default=NUM_TRANSITIONS, help="rows of each buffer")
    parser.add_argument("--libraries", nargs="+", default=list(LIBRARIES), choices=list(LIBRARIES))
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(*options.serve[:2], Path(options.serve[2]))
    with tempfile.TemporaryDirectory(prefix="drop-in-") as root:
        folder = Path(root)
        record(folder, options.transitions)
        results = others(options)
        for library in options.libraries:
            results[library] = measured(library, folder)
            print(library, json.dumps(results[library]), flush=True)
    versions = {"python": sys.version.split()[0], "mujigae": mujigae.__version__}
    versions |= {name: metadata.version(name) for name in ("torch", "numpy", "ale-py")}
    text = {
        "command": "python bench/integrations/atari.py",
        "rows": options.transitions,
        "batch_size": BATCH_SIZE,
    }
    RESULT.write_text(
        json.dumps(text | {"machine": describe(), "versions": versions, "libraries": results}, indent=2)
        + "\n"
    )
    return None


if __name__ == "__main__":
    main()
