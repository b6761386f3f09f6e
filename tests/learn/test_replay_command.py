"""`mujigae replay`: what a saved buffer holds, films of its episodes, and errors of one line."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import error_of, train
from films import decode

import mujigae
from mujigae import cli

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


def episodes_of(
    shape: tuple[int, ...], dtype: Any = np.uint8, lengths: tuple[int, ...] = (3, 5), **options: Any
) -> Any:
    """A buffer whose observations are filled with 10 times the step, over all episodes; a last episode of 2 is open."""
    buffer = mujigae.ReplayBuffer(50, (shape, dtype), ((), np.int64), validate=False, **options)
    step = 0
    for number, length in enumerate((*lengths, 2)):
        for i in range(length):
            obs, after = (np.full(shape, 10 * (step + dt), dtype) for dt in (0, 1))
            buffer.add(obs, 0, 1.0, after, i + 1 == length and number < len(lengths), False)
            step += 1
        step += 1
    return buffer


def film(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    """The frames [T, H, W, 3] that `mujigae replay` puts into film.mp4."""
    assert cli.main(["replay", "buffer", "--video", "film.mp4", *options]) == 0
    assert capsys.readouterr().out.split() == ["film.gif", "film.mp4"]
    return decode(Path("film.mp4"))[0]


@pytest.mark.parametrize("more", [["--video", "film.mp4"], ["--export", "minari", "mine/game-v0"]])
def test_contents_as_json_are_not_asked_for_beside_a_film_or_an_export(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    episodes_of((8, 8, 3)).save("buffer")
    assert "json: expected without --video" in error_of(capsys, "replay", "buffer", "--json", *more)
    assert os.listdir() == ["buffer"]


@pytest.mark.parametrize(
    "option", [("--episode", "0"), ("--array", "image"), ("--channels", "last"), ("--fps", "30")]
)
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_what_a_film_shows_is_not_chosen_without_one(
    option: tuple[str, str], more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    episodes_of((8, 8, 3)).save("buffer")
    error = error_of(capsys, "replay", "buffer", *option, *more)
    assert f"{option[0][2:]}: expected beside --video" in error


def test_a_buffer_is_printed_for_people_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    episodes_of((4,), np.float32).save("buffer")
    assert cli.main(["replay", "buffer"]) == 0
    text = capsys.readouterr().out
    assert "10 of 50 can be drawn, 10 held; 1 environment" in text
    assert "2 ended, 1 open" in text
    assert cli.main(["replay", "buffer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"]["length"] == {"min": 3, "mean": 4.0, "max": 5}


def test_a_run_is_looked_at_by_its_folder_its_name_its_checkpoint_or_the_file(
    without_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("prioritized", "--steps", "300", "--name", "a") == 0
    capsys.readouterr()
    said = set()
    for name in ("runs/a", "a", "runs/a/checkpoint-300", "runs/a/checkpoint-300/replay.mujigae"):
        assert cli.main(["replay", name]) == 0
        said.add(capsys.readouterr().out)
    (text,) = said
    assert "runs/a/checkpoint-300/replay.mujigae: snapshot" in text
    assert "200 of 200 can be drawn" in text
    episodes_of((20, 20)).save("a")  # a file here comes before a run of the same name
    assert cli.main(["replay", "a"]) == 0
    assert "10 of 50 can be drawn" in capsys.readouterr().out
    assert "proportional: alpha 0.6" in text


def test_the_newest_ended_episode_is_filmed_or_the_one_that_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    episodes_of((40, 30)).save("buffer")
    for options, first, count in (((), 4, 6), (("--episode", "0"), 0, 4), (("--episode", "-1"), 10, 3)):
        frames = film(capsys, *options)
        assert frames.shape == (count, 160, 120, 3)  # small frames are enlarged
        np.testing.assert_allclose(frames.mean((1, 2, 3)), 10 * (first + np.arange(count)), atol=3)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 40, 30), {"frame_stack": 4}),
        ((4, 40, 30), {}),  # a stack that the buffer was not told of
        ((9, 40, 30), {"frame_stack": 3}),  # three frames in RGB
        ((3, 40, 30), {}),
        ((40, 30, 3), {}),
        ((40, 30, 1), {}),
        ((1, 40, 30), {}),
        ((2, 40, 30, 3), {"frame_stack": 2}),
        ((40, 30, 7), {}),
    ],
)
def test_stacks_and_channels_on_either_side_are_images(
    capsys: pytest.CaptureFixture[str], shape: tuple[int, ...], options: Any
) -> None:
    episodes_of(shape, **options).save("buffer")
    frames = film(capsys)
    assert frames.shape == (6, 160, 120, 3)
    np.testing.assert_allclose(frames.mean((1, 2, 3)), 10 * (4 + np.arange(6)), atol=3)


def test_of_a_stack_the_newest_frame_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    buffer = mujigae.ReplayBuffer(9, ((3, 20, 20), np.uint8), ((), np.int64), frame_stack=3)
    stack = np.zeros((3, 20, 20), np.uint8)
    for t in range(4):
        after = np.concatenate([stack[1:], np.full((1, 20, 20), 50 * (t + 1), np.uint8)])
        buffer.add(stack, 0, 0.0, after, t == 3, False)
        stack = after
    buffer.save("buffer")
    np.testing.assert_allclose(film(capsys).mean((1, 2, 3)), [0, 50, 100, 150, 200], atol=3)


@pytest.mark.parametrize(("dtype", "last"), [(np.float32, 255), (np.int16, 255), (np.bool_, 255)])
def test_numbers_are_shades_from_the_smallest_to_the_largest(
    capsys: pytest.CaptureFixture[str], dtype: Any, last: int
) -> None:
    episodes_of((20, 20), dtype, (4,)).save("buffer")
    means = film(capsys).mean((1, 2, 3))
    assert means[0] == pytest.approx(0, abs=3)
    assert means[-1] == pytest.approx(last, abs=3)


def test_the_array_of_a_dict_may_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    spaces = {"a": ((20, 20), np.uint8), "b": ((20, 20), np.uint8), "speed": ((2,), np.float32)}
    buffer = mujigae.ReplayBuffer(9, spaces, ((), np.int64))
    obs = {name: np.full(shape, 100 if name == "b" else 0, dtype) for name, (shape, dtype) in spaces.items()}
    buffer.add(obs, 0, 0.0, obs, True, False)
    buffer.save("buffer")
    assert film(capsys, "--array", "b").mean() == pytest.approx(100, abs=3)
    video = ["replay", "buffer", "--video", "other"]
    assert "array: expected one of a, b, got none" in error_of(capsys, *video)
    assert "array: expected one of a, b, speed, got 'c'" in error_of(capsys, *video, "--array", "c")
    assert "expected observations that are images" in error_of(capsys, *video, "--array", "speed")
    assert not list(Path().glob("other*"))


def test_what_cannot_be_filmed_is_one_line_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    episodes_of((4,), np.float32).save("vectors")
    episodes_of((20, 20)).save("images")
    episodes_of((6, 20, 6)).save("squares")
    mujigae.ReplayBuffer(4, ((20, 20), np.uint8), ((), np.int64)).save("empty")
    before = sorted(os.listdir())
    video = ("--video", "film")
    assert "images, [H, W] at least, got float32 [4]" in error_of(capsys, "replay", "vectors", *video)
    assert "episode: expected -3 to 2, got 3" in error_of(
        capsys, "replay", "images", *video, "--episode", "3"
    )
    assert "channels: expected first or last" in error_of(capsys, "replay", "squares", *video)
    assert "expected at least one episode" in error_of(capsys, "replay", "empty", *video)
    assert "export: expected minari NAME, got csv" in error_of(capsys, "replay", "images", "--export", "csv")
    assert sorted(os.listdir()) == before


def test_files_that_are_no_buffers_are_one_line_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    episodes_of((20, 20)).save("buffer")
    content = Path("buffer").read_bytes()
    Path("folder").mkdir()
    os.mkfifo("pipe")
    random.seed(0)
    for number in range(40):
        at = random.randrange(len(content))
        Path(f"damaged-{number}").write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
    before = sorted(os.listdir())
    for name in ("folder", "pipe", "missing", "/dev/zero", *(f"damaged-{number}" for number in range(40))):
        for options in ((), ("--json",), ("--video", "film")):
            assert name in error_of(capsys, "replay", name, *options)
    assert sorted(os.listdir()) == before


def test_a_file_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    buffer = episodes_of((20, 20), path="buffer")
    assert "buffer: in use by a process that may write to it" in error_of(capsys, "replay", "buffer")
    del buffer
    assert cli.main(["replay", "buffer"]) == 0
    assert "buffer: buffer file" in capsys.readouterr().out
