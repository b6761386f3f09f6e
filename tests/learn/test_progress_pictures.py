"""Loss, epsilon and other columns of progress.csv as pictures, read back from the files that they leave."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from mujigae.errors import ConfigError
from mujigae.pictures.progress import plot_progress, read_columns

BLUE, ORANGE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
ROWS = "step,loss,epsilon,mean_return_20\n10,,1.0,\n20,0.5,0.8,\n30,0.25,0.6,7\n"


def make_run(folder: Path, text: str = ROWS) -> Path:
    folder.mkdir(parents=True)
    (folder / "progress.csv").write_text(text)
    return folder


def pixels_of(path: Path, colour: tuple[int, int, int]) -> int:
    return int((iio.imread(path)[..., :3] == colour).all(axis=-1).sum())


def test_columns_are_read_without_their_empty_cells(tmp_path: Path) -> None:
    lines = read_columns(make_run(tmp_path / "a") / "progress.csv")
    assert list(lines) == ["loss", "epsilon", "mean_return_20"]
    np.testing.assert_array_equal(lines["loss"], ([20, 30], [0.5, 0.25]))
    np.testing.assert_array_equal(lines["epsilon"].step, [10, 20, 30])


def test_number_too_large_for_axes_is_left_out(tmp_path: Path) -> None:
    lines = read_columns(make_run(tmp_path / "a", "step,loss\n1,1e300\n2,nan\n3,4\n") / "progress.csv")
    np.testing.assert_array_equal(lines["loss"], ([3], [4]))


def test_picture_has_a_panel_for_each_column_and_a_line_for_each_run(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in ("a", "b")]
    one = plot_progress(runs[:1], tmp_path / "one.png", ["loss"])
    both = plot_progress(runs, tmp_path / "both.png", ["loss", "epsilon", "mean_return_20"])
    assert pixels_of(one, BLUE) > 100
    assert pixels_of(one, ORANGE) == 0
    assert pixels_of(both, ORANGE) > 100
    assert iio.imread(both).shape[0] > 1.5 * iio.imread(one).shape[0]


def test_without_columns_loss_and_epsilon_are_drawn(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    default = plot_progress([run], tmp_path / "default.png")
    chosen = plot_progress([run], tmp_path / "chosen.png", ["loss", "epsilon"])
    np.testing.assert_array_equal(iio.imread(default), iio.imread(chosen))


def test_runs_of_one_name_are_both_drawn(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / parent / "run") for parent in ("a", "b")]
    other = make_run(tmp_path / "c" / "other", "step,loss\n1,3\n90,9\n")
    assert pixels_of(plot_progress([*runs, other], tmp_path / "all.png", ["loss"]), ORANGE) > 100


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        (ROWS, ["los"], "columns: no run has 'los'; did you mean loss"),
        ("step,loss\n10,\n", ["loss"], "no number yet in loss"),
        ("step,loss\n10\n", ["loss"], "line 2: expected 2 values, got 1"),
        ("loss\n1\n", [], "expected a column step"),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path: Path, text: str, columns: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plot_progress([make_run(tmp_path / "a", text)], tmp_path / "out.png", columns)


def test_folder_without_the_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not a run folder, it has no progress\.csv"):
        plot_progress([tmp_path], tmp_path / "out.png")
