"""Curves over seeds: the numbers by hand, the interval around them, and pictures that exist."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mujigae.errors import ConfigError
from mujigae.pictures.bands import band_of, plot_bands
from mujigae.pictures.curves import read_games
from mujigae.pictures.kinds import kinds


def make_run(
    folder: Path, scores: list[float], *, preset: str = "dqn", env_id: str = "CartPole-v1", **options: object
) -> Path:
    folder.mkdir(parents=True)
    config = {"preset": preset, "env_id": env_id, "seed": 0, **options}
    (folder / "config.json").write_text(json.dumps(config))
    rows = [f"{10 * i},{10 * i},{6.0 * i},0,{score},10" for i, score in enumerate(scores, start=1)]
    (folder / "episodes.csv").write_text(
        "\n".join(["step,frames,seconds,env_id,score,length_steps", *rows]) + "\n"
    )
    return folder


def test_curve_is_the_mean_of_the_middle_runs() -> None:
    x = [np.arange(1.0, 41.0)] * 4
    scores = [np.full(40, value) for value in (0.0, 10.0, 20.0, 1000.0)]
    band = band_of(x, scores)
    np.testing.assert_allclose(band.iqm, 15.0)
    assert (band.low <= 15.0).all()
    assert (band.high >= 15.0).all()
    assert (band.low < band.high).all()
    assert (band.low >= 0.0).all()
    assert (band.high <= 1000.0).all()


def test_curve_spans_where_every_run_has_twenty_games() -> None:
    x = [np.arange(1.0, 41.0), 2 * np.arange(1.0, 31.0)]
    band = band_of(x, [np.arange(1.0, 41.0), np.arange(1.0, 31.0)])
    assert (band.x[0], band.x[-1]) == (40.0, 40.0)
    assert band.iqm[0] == (30.5 + 10.5) / 2  # games 21 to 40 of the first run, 1 to 20 of the second


def test_single_run_has_no_width() -> None:
    band = band_of([np.arange(1.0, 51.0)], [np.arange(50.0)])
    np.testing.assert_array_equal(band.low, band.iqm)
    np.testing.assert_array_equal(band.high, band.iqm)
    assert (band.iqm[0], band.iqm[-1]) == (9.5, 39.5)


def test_same_runs_give_the_same_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    runs = [make_run(tmp_path / f"r{i}", list(rng.normal(100, 20, 50))) for i in range(3)]
    runs += [make_run(tmp_path / f"s{i}", list(rng.normal(200, 20, 60)), preset="rainbow") for i in range(3)]
    pictures = [plot_bands(runs, tmp_path / name).read_bytes() for name in ("a.png", "b.png")]
    assert pictures[0] == pictures[1]
    assert plot_bands(runs[:3], tmp_path / "c.png").read_bytes() != pictures[0]


def test_run_of_too_few_games_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", [1.0] * 19)
    with pytest.raises(ConfigError, match="20 finished games of each run, got 19"):
        plot_bands([run], tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_more_kinds_of_run_than_colours_are_refused(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"r{i}", [1.0] * 20, preset=f"p{i}") for i in range(17)]
    with pytest.raises(ConfigError, match="at most 16 kinds of run in one picture, got 17"):
        plot_bands(runs, tmp_path / "a.png")
    plot_bands(runs[:16], tmp_path / "a.png")


def test_runs_that_differ_in_an_option_are_curves_of_their_own(tmp_path: Path) -> None:
    options = [
        *({"seed": seed, "batch_size": 32, "steps": 100 + seed, "num_threads": 1 + seed} for seed in (0, 1)),
        {"batch_size": 64, "hidden_sizes": [64, 64]},
        {"batch_size": 64, "preset": "rainbow"},
        {"batch_size": 64, "preset": "rainbow", "n_step": 1},  # an option that the older run before it lacks
    ]
    base = {"preset": "dqn", "hidden_sizes": [256]}
    runs = [make_run(tmp_path / f"r{i}", [1.0] * 20, **(base | one)) for i, one in enumerate(options)]  # type: ignore[arg-type]
    found = {label: len(group) for label, group in kinds([read_games(run) for run in runs]).items()}
    assert found == {"dqn": 2, "dqn, hidden_sizes 64 64, batch_size 64": 1, "rainbow": 2}
    plot_bands(runs, tmp_path / "a.png")


def test_what_follows_from_the_budget_or_the_machine_makes_no_curve_of_its_own(tmp_path: Path) -> None:
    options = [
        {"steps": 100, "beta_steps": 90, "learning_rate_updates": 90, "precision": "float32"},
        {"steps": 200, "beta_steps": 190, "learning_rate_updates": 190, "precision": "bfloat16"},
        {"steps": 200, "minutes": 1.0, "beta_steps": None, "precision": "float32"},
        {"steps": 100, "beta_steps": 50, "learning_rate_updates": 90},
    ]
    runs = [make_run(tmp_path / f"r{i}", [1.0] * 20, **one) for i, one in enumerate(options)]  # type: ignore[arg-type]
    found = {label: len(group) for label, group in kinds([read_games(run) for run in runs]).items()}
    assert found == {"dqn": 3, "dqn, beta_steps 50": 1}


def test_curves_on_several_environments_name_them(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, [1.0] * 20, env_id=name) for name in ("A-v0", "B-v0")]
    assert [*kinds([read_games(run) for run in runs])] == ["dqn on A-v0", "dqn on B-v0"]
