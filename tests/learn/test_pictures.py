"""Learning curves and films, read back from the files that they leave."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from films import decode
from PIL import Image

from mujigae.errors import ConfigError, MujigaeError
from mujigae.pictures import curves, video

HEADER = "step,frames,seconds,env_id,score,length_steps\n"
DQN_BLUE, SECOND_ORANGE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)


def make_run(folder: Path, rows: str, **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        json.dumps({"preset": "dqn", "env_id": "CartPole-v1", "seed": 1} | config)
    )
    (folder / "episodes.csv").write_text(HEADER + rows)
    return folder


def rows_of(scores: list[float]) -> str:
    return "".join(f"{10 * (i + 1)},{40 * (i + 1)},{1.5 * (i + 1)},0,{s},10\n" for i, s in enumerate(scores))


def pixels_of(path: Path, colour: tuple[int, int, int]) -> int:
    return int((iio.imread(path)[..., :3] == colour).all(axis=-1).sum())


# --- curves ---


def test_running_mean_is_the_mean_of_each_full_window() -> None:
    values = np.array([1.0, 2.0, 6.0, 3.0])
    np.testing.assert_array_equal(curves.running_mean(values, 2), [1.5, 4.0, 4.5])
    np.testing.assert_array_equal(curves.running_mean(values, 4), [3.0])


def test_running_mean_of_fewer_values_than_the_window_is_empty() -> None:
    assert curves.running_mean(np.array([5.0, 5.0]), 3).shape == (0,)


def test_games_are_read_with_seconds_turned_into_minutes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "first", "30,120,90.0,1,-21.0,30\n50,200,150.0,0,7.5,20\n")
    games = curves.read_games(run)
    assert games.name == "first"
    np.testing.assert_array_equal(games.step, [30, 50])
    np.testing.assert_array_equal(games.minutes, [1.5, 2.5])
    np.testing.assert_array_equal(games.score, [-21.0, 7.5])


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "")
    (run / "episodes.csv").write_bytes(b"score,extra,step,seconds\r\n4,x,8,60\r\n")
    games = curves.read_games(run)
    assert (games.step[0], games.minutes[0], games.score[0]) == (8.0, 1.0, 4.0)


def test_unfinished_last_line_of_a_live_run_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", rows_of([11, 12]) + "30,120,4.5,0,1")
    np.testing.assert_array_equal(curves.read_games(run).score, [11, 12])


def test_plot_writes_a_png_with_every_run_in_its_own_colour(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, rows_of([float(i) for i in range(150)])) for name in ("a", "b")]
    (runs[1] / "episodes.csv").write_text(HEADER + rows_of([100.0] * 150))
    out = curves.plot(runs, tmp_path / "pictures" / "curve.png")
    assert out == tmp_path / "pictures" / "curve.png"
    height, width, _ = iio.imread(out).shape
    assert width > height > 500
    assert pixels_of(out, DQN_BLUE) > 500
    assert pixels_of(out, SECOND_ORANGE) > 500
    assert [path.name for path in out.parent.iterdir()] == ["curve.png"], "nothing else is left beside it"


def test_lines_begin_only_with_a_full_window(tmp_path: Path) -> None:
    def colour_in_panels(num_games: int) -> int:
        run = make_run(tmp_path / f"run{num_games}", rows_of([float(i % 7) for i in range(num_games)]))
        return pixels_of(curves.plot([run], tmp_path / f"{num_games}.png"), DQN_BLUE)

    only_legend, with_long_mean = colour_in_panels(99), colour_in_panels(140)
    assert with_long_mean > only_legend + 200, "games 100 to 140 draw a thick opaque line in both panels"


@pytest.mark.parametrize("name", ["_hidden", "$cost$", "a_{b", "무지개"])
@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
def test_run_names_that_a_plotting_library_could_misread_are_drawn(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / name, rows_of([1, 2, 3]), env_id=name)
    assert curves.plot([run], tmp_path / "curve.png").stat().st_size > 10_000


def test_title_says_what_all_runs_share(tmp_path: Path) -> None:
    first = curves.read_games(make_run(tmp_path / "a", rows_of([1]), seed=1))
    second = curves.read_games(make_run(tmp_path / "b", rows_of([1]), seed=2))
    third = curves.read_games(make_run(tmp_path / "c", rows_of([1]), env_id="Acrobot-v1", preset="c51"))
    assert curves._title([first]) == "CartPole-v1 · dqn · seed 1"
    assert curves._title([first, second]) == "CartPole-v1 · dqn"
    assert curves._title([first, third]) == "2 environments · seed 1"


def test_runs_of_one_name_are_told_apart_by_their_parent_folder(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / parent / "run", rows_of([1])) for parent in ("mon", "tue")]
    runs = [curves.read_games(folder) for folder in folders]
    assert curves._labels(runs, folders) == ["mon/run", "tue/run"]


def test_plotting_moves_no_global_state_of_the_plotting_library(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", rows_of([1, 2, 3]))
    # dict's own items(): the class's would choose a backend, which is what must not happen
    script = f"""
import sys
from pathlib import Path
import matplotlib
before = dict(dict.items(matplotlib.rcParams))
from mujigae.pictures import curves
curves.plot([Path({str(run)!r})], Path({str(tmp_path / "curve.png")!r}))
assert dict(dict.items(matplotlib.rcParams)) == before
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=os.environ | {"MPLBACKEND": "tkagg"}, timeout=60
    )


def test_plot_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one run folder"):
        curves.plot([], tmp_path / "curve.png")


def test_plot_into_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.png, got .*curve\.pdf"):
        curves.plot([make_run(tmp_path / "run", rows_of([1]))], tmp_path / "curve.pdf")


def test_plot_into_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", rows_of([1]))
    (tmp_path / "file").write_text("")
    with pytest.raises(MujigaeError, match=r"curve\.png: cannot be written"):
        curves.plot([run], tmp_path / "file" / "curve.png")


def test_run_without_finished_games_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"episodes\.csv: no finished episode yet"):
        curves.plot([make_run(tmp_path / "run", "")], tmp_path / "curve.png")


def test_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: not a run folder, it has no config\.json"):
        curves.plot([tmp_path / "nowhere"], tmp_path / "curve.png")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("10,40,1.5,0,9,10\n20,80,3.0,0,what,10\n", r"line 3: expected numbers, got 20, 3\.0, what"),
        ("10,40,1.5,0,9\n", "line 2: expected 6 values, got 5"),
        ("10,40,1.5,0,9,10,7\n", "line 2: expected 6 values, got 7"),
        ("10,40,1.5,0,nan,10\n", "line 2: expected finite numbers"),
        ("10,40,1.5,0,9,10\n\n20,80,3,0,9,10\n", "line 3: expected 6 values, got 0"),
    ],
)
def test_malformed_row_is_refused_with_its_line_number(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        curves.read_games(make_run(tmp_path / "run", rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "missing: step, seconds, score"),
        (b"step,score\n1,2\n", "missing: seconds"),
        (b"\xff\xfe\x00 no text", "cannot be read"),
    ],
)
def test_malformed_episode_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    run = make_run(tmp_path / "run", "")
    (run / "episodes.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"episodes\.csv: .*{message}"):
        curves.read_games(run)


@pytest.mark.parametrize(
    ("content", "message"), [("{", "expected JSON"), ("[1]", "expected a JSON object, got list")]
)
def test_malformed_config_is_refused(tmp_path: Path, content: str, message: str) -> None:
    run = make_run(tmp_path / "run", rows_of([1]))
    (run / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        curves.read_games(run)


# --- video ---


def square(index: int, height: int = 120, width: int = 160) -> np.ndarray:
    """A red square that moves over green, one pixel a frame: [H, W, 3]."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 1] = 120
    left = index % (width - 20)
    frame[50:70, left : left + 20] = (255, 0, 0)
    return frame


def gif_frames(path: Path) -> tuple[list[np.ndarray], list[int], int]:
    """Frames, their durations in milliseconds, and the loop count (0: for ever)."""
    frames, durations = [], []
    with Image.open(path) as image:
        loop = image.info["loop"]
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
    return frames, durations, loop


def test_short_film_keeps_every_frame_in_both_files(tmp_path: Path) -> None:
    gif, mp4 = video.record((square(i) for i in range(30)), tmp_path, "play", fps=20)
    assert (gif, mp4) == (tmp_path / "play.gif", tmp_path / "play.mp4")
    frames, durations, loop = gif_frames(gif)
    assert (len(frames), set(durations), loop) == (30, {50}, 0)
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, square(index))
    decoded, _ = decode(mp4)
    assert decoded.shape == (30, 120, 160, 3)
    error = np.abs(decoded[29].astype(int) - square(29).astype(int))
    assert error.mean() < 4, "lossy, but the same picture"


def test_mp4_is_h264_in_yuv420p_at_the_given_speed(tmp_path: Path) -> None:
    _, mp4 = video.record((square(i) for i in range(12)), tmp_path, "play", fps=12.5)
    frames, stream = decode(mp4)
    assert len(frames) == 12
    assert "Video: h264" in stream
    assert "yuv420p" in stream
    assert "12.50 fps" in stream


def test_odd_sizes_become_even_in_the_mp4_by_doubling_the_edge(tmp_path: Path) -> None:
    gif, mp4 = video.record((square(i, 121, 163) for i in range(4)), tmp_path, "play", fps=10)
    assert decode(mp4)[0].shape == (4, 122, 164, 3)
    assert gif_frames(gif)[0][0].shape == (121, 163, 3)


def test_film_from_one_frame_buffer_that_is_drawn_over_keeps_each_frame(tmp_path: Path) -> None:
    def reusing() -> Iterator[np.ndarray]:
        buffer = np.empty_like(square(0))
        for index in range(5):
            buffer[:] = square(10 * index)
            yield buffer

    frames, _, _ = gif_frames(video.record(reusing(), tmp_path, "play", fps=10)[0])
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, square(10 * index))


def test_tiny_grey_frames_are_enlarged_by_a_whole_factor(tmp_path: Path) -> None:
    grey = np.full((42, 42), 10, np.uint8)
    grey[:, 21:] = 200
    frames, _, _ = gif_frames(video.record([grey, grey.T], tmp_path, "play", fps=5)[0])
    assert frames[0].shape == (168, 168, 3)
    np.testing.assert_array_equal(np.unique(frames[0][:, :84]), [10])
    np.testing.assert_array_equal(np.unique(frames[0][:, 84:]), [200])


def test_large_frames_are_shrunk_in_the_gif_only(tmp_path: Path) -> None:
    gif, mp4 = video.record([square(i, 400, 600) for i in range(3)], tmp_path, "play", fps=5)
    assert gif_frames(gif)[0][0].shape == (213, 320, 3)
    assert decode(mp4)[0].shape == (3, 400, 600, 3)


def test_long_film_is_thinned_in_the_gif_and_complete_in_the_mp4(tmp_path: Path) -> None:
    num_frames = 1300
    gif, mp4 = video.record((square(i) for i in range(num_frames)), tmp_path, "play", fps=50)
    frames, durations, _ = gif_frames(gif)
    assert len(frames) == 325, "1300 frames thinned by four"
    assert set(durations) == {80}, "four frames at 50 per second: real time"
    np.testing.assert_array_equal(frames[-1], square(1296))
    assert len(decode(mp4)[0]) == num_frames


def test_thinned_slow_film_plays_faster_than_real_time_instead_of_jerking(tmp_path: Path) -> None:
    gif, _ = video.record((square(i) for i in range(1300)), tmp_path, "play", fps=15)
    assert set(gif_frames(gif)[1]) == {80}, "12.5 pictures a second, not 3.75"


def test_gif_of_incompressible_frames_stays_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 256, (200, 200, 3), dtype=np.uint8) for _ in range(170))
    gif, _ = video.record(noise, tmp_path, "play", fps=30)
    assert gif.stat().st_size < 4_000_000
    assert len(gif_frames(gif)[0]) >= 40


def test_recording_again_replaces_both_files_and_leaves_nothing_else(tmp_path: Path) -> None:
    video.record([square(0)] * 3, tmp_path, "play", fps=10)
    gif, mp4 = video.record([square(90)] * 2, tmp_path, "play", fps=10)
    np.testing.assert_array_equal(gif_frames(gif)[0][0], square(90))
    assert decode(mp4)[0].shape[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["play.gif", "play.mp4"]


def test_game_that_fails_midway_leaves_the_older_film_untouched(tmp_path: Path) -> None:
    gif, mp4 = video.record([square(5)] * 3, tmp_path, "play", fps=10)
    before = gif.read_bytes(), mp4.read_bytes()

    def failing() -> Iterator[np.ndarray]:
        yield square(0)
        raise RuntimeError("the emulator fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        video.record(failing(), tmp_path, "play", fps=10)
    assert (gif.read_bytes(), mp4.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["play.gif", "play.mp4"]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "frames: expected at least one frame, got none"),
        (
            [np.zeros((4, 8, 8), np.uint8)],
            r"frames\[0\]: expected shape \[H, W, 3\] or \[H, W\], got \[4, 8, 8\]",
        ),
        ([np.zeros((0, 8, 3), np.uint8)], r"got \[0, 8, 3\]"),
        ([np.zeros((8, 8, 3), np.float32)], r"frames\[0\]: expected a uint8 array, got ndarray of float32"),
        ([None], r"frames\[0\]: expected a uint8 array, got NoneType"),
        (
            [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)],
            r"frames\[1\]: expected shape \[8, 8, 3\] as before, got \[8, 9, 3\]",
        ),
    ],
)
def test_frames_that_are_no_film_are_refused_and_leave_no_file(
    tmp_path: Path, frames: list, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        video.record(iter(frames), tmp_path, "play", fps=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, -1.0, float("nan"), float("inf"), "30"])
def test_speed_that_is_no_positive_number_is_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(ConfigError, match="fps: expected a positive finite number"):
        video.record([square(0)], tmp_path, "play", fps=fps)


@pytest.mark.parametrize("stem", ["", "a/b", ".."])
def test_stem_with_a_folder_in_it_is_refused(tmp_path: Path, stem: str) -> None:
    with pytest.raises(ConfigError, match="stem: expected a file name"):
        video.record([square(0)], tmp_path, stem, fps=10)


def test_folder_that_cannot_be_written_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refused)
    with pytest.raises(MujigaeError, match=r"play\.mp4: cannot be written: Permission denied"):
        video.record([square(0)], tmp_path, "play", fps=10)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MujigaeError, match="file/films: cannot be written"):
        video.record([square(0)], tmp_path / "file" / "films", "play", fps=10)


@pytest.mark.filterwarnings(
    "ignore:.*FileIO name=:pytest.PytestUnraisableExceptionWarning"
)  # imageio-ffmpeg 0.8's
def test_encoder_that_dies_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/false")
    with pytest.raises(MujigaeError, match=r"play\.mp4"):
        video.record((square(i) for i in range(50)), tmp_path, "play", fps=10)
    assert list(tmp_path.iterdir()) == []
