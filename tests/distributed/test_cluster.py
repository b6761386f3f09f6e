"""Runs of several processes, with Ray and without: they end whole, go on after a kill, and leave nothing behind."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mujigae
from mujigae.agents.presets import resolve
from mujigae.distributed.carriers import Carrier
from mujigae.distributed.ray_processes import FLAGS
from mujigae.distributed.workers import ClusterWorkers, saved_workers
from mujigae.errors import ConfigError

CARRIERS = ["processes", pytest.param("ray", marks=pytest.mark.slow)]

OPTIONS = [
    *("prioritized", "--env", "CartPole-v1", "--num-envs", "2", "--hidden-sizes", "16", "--head-size", "0"),
    *(
        "--batch-size",
        "16",
        "--learn-period-steps",
        "8",
        "--min-replay-steps",
        "100",
        "--capacity",
        "5000",
        "--num-updates",
        "1",
    ),
    *("--checkpoint-period-steps", "1000", "--log-period-steps", "200", "--best-episodes", "0"),
    *("--stop-evaluation", "None", "--stop-score", "None"),
]


def start(*arguments: str) -> Any:
    command = [sys.executable, "-m", "mujigae", "train", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def of_runs(root: Path) -> list[str]:
    """What is left of runs in `root`: Ray's workers by their titles, others by the files they have open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            title = (process / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
            files = [os.readlink(file) for file in (process / "fd").iterdir()]
            if title.startswith(("ray::ShardServer", "ray::ActorServer")) or any(
                file.startswith(f"{root}/") for file in files
            ):
                found.append(title)
    return found


@pytest.fixture(scope="module", params=CARRIERS)
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, str, str]:
    """A run with this carrier, and what it said."""
    carrier = request.param
    if carrier == "ray":
        pytest.importorskip("ray")
    root = tmp_path_factory.mktemp("runs")
    sizes = ("--actors", "2", "--shards", "2", "--workers", carrier, "--steps", "1500")
    process = start(*OPTIONS, *sizes, "--runs", str(root), "--name", "run")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return carrier, root / "run", out, err


def test_a_run_makes_as_many_updates_as_one_process(finished: tuple[str, Path, str, str]) -> None:
    _, folder, _, _ = finished
    with (folder / "progress.csv").open(newline="") as file:
        last = [*csv.DictReader(file)][-1]
    assert int(last["updates"]) == 1500 // 8 - 104 // 8 + 1
    assert int(last["step"]) >= 1500


def test_processes_say_nothing_in_the_terminal(finished: tuple[str, Path, str, str]) -> None:
    carrier, _, out, err = finished
    where = "processes of this machine" if carrier == "processes" else "Ray on this machine, object store"
    assert f"workers: 2 actors of 2 environments, 2 shards, 2 samples per insert; {where}" in out
    assert err == ""
    for line in (*out.splitlines(), *err.splitlines()):
        assert "raylet" not in line
        assert "INFO" not in line


def test_nothing_is_left_after_the_end(finished: tuple[str, Path, str, str]) -> None:
    assert of_runs(finished[1].parent) == []


def test_the_shards_hold_the_rows_of_all_actors(finished: tuple[str, Path, str, str]) -> None:
    _, folder, _, _ = finished
    totals = json.loads((folder / "cluster.json").read_text())["totals"]
    assert len(totals["actor_processes"]) == len(totals["shard_processes"]) == 2
    for s in range(2):
        buffer = mujigae.load(folder / "replay" / f"shard-{s}.mujigae")
        assert buffer.num_envs == 2
        assert len({episode.env_id for episode in buffer.episodes()}) == 2


def test_a_finished_run_goes_on_with_more_steps(finished: tuple[str, Path, str, str]) -> None:
    _, folder, _, _ = finished
    process = start("--resume", str(folder), "--steps", "2200")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    with (folder / "progress.csv").open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == sorted(steps)
    assert steps[-1] >= 2200


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_run_that_is_stopped_leaves_a_checkpoint_and_no_process(carrier: str, tmp_path: Path) -> None:
    if carrier == "ray":
        pytest.importorskip("ray")
    sizes = ("--actors", "1", "--workers", carrier, "--steps", "100000000")
    process = start(*OPTIONS, *sizes, "--runs", str(tmp_path), "--name", "run")
    give_up_at = time.monotonic() + 200
    while not (tmp_path / "run" / "progress.csv").exists() or time.monotonic() > give_up_at:
        time.sleep(0.2)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert "interrupted; to go on: mujigae train --resume" in out
    assert [*(tmp_path / "run").glob("checkpoint-*")]
    assert of_runs(tmp_path) == []


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster that somebody started by hand, with processors for a shard and two actors, and a token of its own."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="ray-")  # names of sockets are short
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
    sizes = ["--num-cpus=3", "--object-store-memory=300000000", "--include-dashboard=false"]
    head = subprocess.Popen(
        [*command, *sizes, f"--temp-dir={folder}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | FLAGS,
    )
    assert head.stdout is not None
    try:
        said = next((line for line in head.stdout if "Ray runtime started" in line), "")
        assert said, "the cluster did not start"
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        head.communicate(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_run_joins_a_cluster_and_leaves_nothing_in_it(address: str, tmp_path: Path) -> None:
    process = start(
        *(*OPTIONS, "--actors", "2", "--shards", "1", "--steps", "1000", "--address", address),
        *("--runs", str(tmp_path), "--name", "run"),
    )
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert (
        f"workers: 2 actors of 2 environments, 1 shard, 2 samples per insert; the cluster at {address}" in out
    )
    ask = f"import ray; ray.init('{address}', log_to_driver=False); print(ray.util.list_named_actors(True))"
    found = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"exact_resume": True}, "exact_resume: expected False with actors, got True"),
        ({"prefetch": 2}, "prefetch: expected 0 with actors, got 2"),
        ({"overlap": True}, "overlap: expected False with actors, got True"),
        ({"prioritized": True, "sampler": "rank_based"}, "sampler: expected proportional with shards"),
        (
            {"prioritized": True, "uniform_share": 0.1},
            "uniform_share: expected 0 with several shards, got 0.1",
        ),
        ({"capacity": 5}, "capacity: expected a row for each of 8 environments of all actors, got 5"),
    ],
)
def test_what_needs_rows_or_environments_here_is_refused(options: dict[str, Any], error: str) -> None:
    values = {"num_envs": 2, "batch_size": 2, **options}
    with pytest.raises(ConfigError, match=error):
        ClusterWorkers(4, 2, Carrier()).build(resolve("dqn", "CartPole-v1", values))


@pytest.mark.parametrize(
    ("preset", "env_id", "values"),
    [
        ("pong", "ALE/Pong-v5", {}),
        ("dqn", "ALE/Breakout-v5", {"device": "cuda"}),
        ("dqn", "CartPole-v1", {"device": "cuda"}),
    ],
)
def test_what_a_preset_or_a_device_switches_on_stays_off_with_actors(
    preset: str, env_id: str, values: dict[str, Any]
) -> None:
    if env_id.startswith("ALE/"):
        pytest.importorskip("ale_py")
    alone = resolve(preset, env_id, values).hardware
    assert alone.overlap
    config = resolve(preset, env_id, values, num_workers=3)
    ClusterWorkers(2, 1, Carrier())._check(config)
    assert config.hardware.precision == alone.precision  # the others stay on


def test_more_shards_than_actors_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"shards: expected at most one for each actor \(2\), got 3"):
        ClusterWorkers(2, 3, Carrier())


def test_lanes_and_capacity_are_shared_out_as_in_one_buffer(tmp_path: Path) -> None:
    workers = ClusterWorkers(5, 2, Carrier())
    workers.build(resolve("dqn", "CartPole-v1", {"num_envs": 3, "capacity": 1007}))
    shards, actors = workers._plan.shards(tmp_path), workers._plan.actors()
    assert [plan.spec.num_envs for plan in shards] == [9, 6]
    assert sum(plan.spec.capacity for plan in shards) == 1007
    assert [plan.first_lane for plan in actors] == [0, 0, 3, 3, 6]


def test_a_run_says_how_many_workers_it_had_and_who_carried_their_calls(tmp_path: Path) -> None:
    assert saved_workers(tmp_path) is None
    ClusterWorkers(5, 2, Carrier())._write(tmp_path)
    found = saved_workers(tmp_path)
    assert found is not None
    assert (found.num_actors, found.num_shards, found.carrier) == (5, 2, Carrier("processes"))
    elsewhere = saved_workers(tmp_path, address="auto")
    assert elsewhere is not None
    assert elsewhere.carrier == Carrier("ray", "auto")


def test_runs_of_before_had_ray(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"actors": 2, "shards": 1}')
    found = saved_workers(tmp_path)
    assert found is not None
    assert found.carrier == Carrier("ray")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"actors": "many", "shards": 1}', "expected numbers of actors and shards"),
        ('{"actors": 2, "shards": 1, "carrier": "pigeon"}', "carrier: expected processes or ray, got pigeon"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(text: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text(text)
    with pytest.raises(mujigae.CheckpointError, match=error):
        saved_workers(tmp_path)


def test_an_address_is_of_ray() -> None:
    assert Carrier.of(None, "auto") == Carrier.of("ray", "auto") == Carrier("ray", "auto")
    assert Carrier.of(None, None) == Carrier.of("processes", None) == Carrier()
    with pytest.raises(ConfigError, match="workers: expected ray with --address, got 'processes'"):
        Carrier.of("processes", "auto")
