"""What a saved buffer is said to hold is what was put into it, and looking changes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import KINDS, damaged, snapshot

import mujigae
from mujigae.errors import MujigaeError
from mujigae.replay.contents import contents_of, lines, open_unchanged

FRAMES = ((3, 4, 5), np.uint8)
SAMPLERS = {
    "uniform": mujigae.Uniform(),
    "proportional": mujigae.Proportional(alpha=0.5, eps=0.0),
    "mixed": mujigae.Proportional(alpha=2.0, eps=0.01, uniform_share=0.25),
    "rank_based": mujigae.RankBased(),
}


def filled(sampler: str = "proportional", path: Path | None = None, **options: Any) -> mujigae.ReplayBuffer:
    """Environment 0 ends after 4 steps, three times; environment 1 has one open episode of 12."""
    options = {
        "num_envs": 2,
        "frame_stack": 3,
        "n_step": 2,
        "seed": 0,
        "sampler": SAMPLERS[sampler],
        **options,
    }
    buffer = mujigae.ReplayBuffer(40, FRAMES, ((), np.int64), path=path, **options)
    stacks = np.zeros((2, *FRAMES[0]), np.uint8)
    for t in range(12):
        after = np.roll(stacks, -1, axis=1)
        after[:, -1] = t + 1
        buffer.add(stacks, [t, t], [1.0, 0.5], after, [t % 4 == 3, False], [False, False])
        stacks = after
    if sampler != "uniform":
        key = np.concatenate([episode.key for episode in buffer.episodes()])
        buffer.update_priorities(key, np.arange(1.0, len(key) + 1))
    return buffer


def saved(tmp_path: Path, sampler: str = "proportional", *, in_file: bool = False, **options: Any) -> Path:
    path = tmp_path / "buffer"
    if in_file:
        filled(sampler, path, **options)
    else:
        filled(sampler, **options).save(path)
    return path


def look(path: Path) -> dict[str, Any]:
    contents = contents_of(open_unchanged(path), path)
    assert json.loads(json.dumps(contents, allow_nan=False)) == contents
    return contents


@pytest.mark.parametrize("in_file", [False, True])
def test_rows_episodes_and_settings_are_those_of_the_buffer(tmp_path: Path, in_file: bool) -> None:
    path = saved(tmp_path, in_file=in_file)
    contents = look(path)
    assert contents["kind"] == ("buffer file" if in_file else "snapshot")
    assert (contents["rows"], contents["rows_held"], contents["capacity"]) == (23, 24, 40)
    assert contents["episodes"] == {
        "ended": 3,
        "open": 1,
        "length": {"min": 4, "mean": 4.0, "max": 4},
        "return": {"min": 4.0, "mean": 4.0, "max": 4.0},
    }
    assert contents["observations"] == {
        "observation_space": {"dtype": "uint8", "shape": [3, 4, 5], "frame_stack": 3}
    }
    assert contents["action"] == {"dtype": "int64", "shape": [], "frame_stack": 1}
    assert contents["sampler"]["name"] == "proportional"
    assert (contents["num_envs"], contents["n_step"], contents["gamma"]) == (2, 2, 0.99)
    assert contents["format_version"] == 2
    assert contents["bytes_on_disk"] == path.stat().st_blocks * 512
    assert contents["bytes_held"] == open_unchanged(path).nbytes
    assert any(("in memory and its file" in line) is in_file for line in lines(contents) if "on disk" in line)


@pytest.mark.parametrize("sampler", ["proportional", "mixed", "rank_based"])
def test_priorities_are_those_of_the_rows_that_can_be_drawn(tmp_path: Path, sampler: str) -> None:
    path = saved(tmp_path, sampler)
    found = look(path)["priorities"]
    buffer = mujigae.load(path)
    key = np.unique(buffer.draw(5_000)[0])
    assert len(key) == len(buffer)
    given = buffer.priorities(key)
    assert (found["min"], found["median"], found["max"]) == (given.min(), np.median(given), given.max())
    largest = buffer.gather(key[[given.argmax()]]).probability[0]
    assert found["share_of_largest"] == pytest.approx(largest, rel=1e-12)


def test_without_priorities_rows_or_mass_there_is_nothing_to_say_of_them(tmp_path: Path) -> None:
    assert look(saved(tmp_path, "uniform"))["priorities"] is None
    buffer = filled()
    buffer.update_priorities(np.concatenate([e.key for e in buffer.episodes()]), np.zeros(24))
    buffer.save(tmp_path / "zeros")
    assert look(tmp_path / "zeros")["priorities"]["share_of_largest"] is None
    buffer.clear()
    buffer.save(tmp_path / "empty")
    contents = look(tmp_path / "empty")
    assert contents["priorities"] is None
    assert contents["episodes"] == {"ended": 0, "open": 0, "length": None, "return": None}
    assert any("0 of 40 can be drawn" in line for line in lines(contents))


def test_an_episode_too_short_for_a_window_has_no_row_to_draw(tmp_path: Path) -> None:
    path = saved(tmp_path, n_step=30)
    contents = look(path)
    assert contents["rows"] == 12
    assert contents["priorities"]["max"] == 12.0


def test_a_person_reads_the_same_numbers(tmp_path: Path) -> None:
    path = saved(tmp_path)
    text = "\n".join(lines(look(path)))
    for said in (
        f"{path}: snapshot, format version 2",
        "23 of 40 can be drawn, 24 held; 2 environments",
        "3 ended, 1 open",
        "min 4, mean 4, max 4",
        "uint8 [3, 4, 5], a stack of 3 frames",
        "proportional: alpha 0.5",
        "min 1, median 12, max 23; a row of the largest is drawn with probability",
        "on disk",
    ):
        assert said in text


def test_names_of_a_foreign_file_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    name = "\x1b[2J\x1b]0;title\x07\n\u202e"
    buffer = mujigae.ReplayBuffer(4, {name: ((), np.float32), "b": ((), np.int8)}, ((), np.int64))
    buffer.save(tmp_path / "buffer")
    found = list(lines(look(tmp_path / "buffer")))
    assert all(line.isprintable() for line in found)
    assert any("\\x1b[2J" in line for line in found)


def test_looking_leaves_the_file_of_a_buffer_as_it_was_closed_or_killed(tmp_path: Path) -> None:
    buffer = filled(path=tmp_path / "file")
    buffer.flush()
    (tmp_path / "killed").write_bytes((tmp_path / "file").read_bytes())
    del buffer
    for path in (tmp_path / "file", tmp_path / "killed"):
        before = path.read_bytes(), path.stat().st_mtime_ns
        for _ in range(6):  # more often than the file remembers kills
            assert look(path)["rows"] == 23
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sorted(os.listdir(tmp_path)) == ["file", "killed"]


def test_a_file_in_use_is_refused_and_its_writer_goes_on(tmp_path: Path) -> None:
    buffer = filled(path=tmp_path / "file")
    with pytest.raises(MujigaeError, match="file: in use by a process that may write to it"):
        open_unchanged(tmp_path / "file")
    buffer.end_episodes()
    buffer.save(tmp_path / "snapshot")
    assert look(tmp_path / "snapshot")["episodes"]["open"] == 0
    del buffer
    assert look(tmp_path / "file")["rows"] == 24


def test_what_is_no_buffer_is_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-5])
    (tmp_path / "text").write_text("hello, this is a file of somebody else\n")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("cut", "text", "empty", "pipe", "missing", "nul\0"):
        with pytest.raises(MujigaeError) as caught:
            open_unchanged(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name.partition("\0")[0] in str(caught.value)


def test_a_file_that_lies_is_described_or_refused(rounds: Any, tmp_path: Path) -> None:
    for seed in rounds(few=8 * len(KINDS)):
        path, kind = tmp_path / "buffer", list(KINDS)[seed % len(KINDS)]
        path.write_bytes(damaged(snapshot(kind, path), np.random.default_rng(seed)))
        try:
            contents = look(path)
        except mujigae.SnapshotError:
            rounds.count("forged files refused")
        else:
            assert all(line.isprintable() for line in lines(contents))
            rounds.count("forged files described")
