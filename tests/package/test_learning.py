"""bench/train: the sweep over CartPole, the parts of Pong, and what docs/results.md makes of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mujigae import cli
from mujigae.agents.presets import resolve
from mujigae.agents.registry import preset_values
from mujigae.runs.session import Outcome

EPISODES = "step,frames,seconds,env_id,score,length_steps\n" + "".join(
    f"{10 * i},{40 * i},{i},0,{float(i)},10\n" for i in range(1, 41)
)


def trained(run: Path, config: dict[str, Any]) -> None:
    """What a finished run leaves, as far as the scripts read it."""
    run.mkdir(parents=True)
    (run / "config.json").write_text(
        json.dumps({"preset": "pong", "env_id": "ALE/Pong-v5", "seed": 0, "stop_score": None, **config})
    )
    (run / "episodes.csv").write_text(EPISODES)
    (run / "progress.csv").write_text("step,frames,updates,seconds\n400,1600,50,40.0\n")
    (run / "protocol.txt").write_text("a protocol\n")
    (run / "curve.png").write_bytes(b"")


@pytest.fixture
def without_training(modules: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have trained."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> None:
        commands.append(command)
        name, runs = (command[command.index(option) + 1] for option in ("--name", "--runs"))
        trained(Path(runs) / name, {})

    monkeypatch.setattr(modules["train.collect"].subprocess, "run", run)
    return commands


def test_each_run_has_the_parts_of_its_preset_and_is_like_the_others_besides(
    modules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: dict[str, dict[str, Any]] = {}

    def keep(config: Any, *, root: Path, name: str, tracking: Any) -> Outcome:
        configs[name] = config.flat()
        return Outcome(root / name, None)

    monkeypatch.setattr("mujigae.runs.session.train_run", keep)
    for name, options in modules["train.parts"].RUNS.items():
        assert cli.main(["train", "pong", *options, "--precision", "float32", "--name", name]) == 0
    parts = ("double", "dueling", "prioritized", "noisy", "loss")
    of_distributions = {"v_min", "v_max", "learning_rate", "target_update_period_updates"}
    for name, config in configs.items():
        had = {part: config.pop(part) for part in parts}, config.pop("n_step") > 1
        preset = resolve(name, "CartPole-v1").flat()
        assert had == ({part: preset[part] for part in parts}, preset["n_step"] > 1)
        unlike = {field for field, value in config.items() if value != configs["dqn"][field]}
        assert unlike == (of_distributions if preset["loss"] == "cross_entropy" else set())


def test_summary_says_when_the_stop_score_was_reached(modules: Any, tmp_path: Path) -> None:
    trained(tmp_path / "pong", {"stop_score": 20.5})
    log = modules["train.collect"].training(tmp_path / "pong")
    assert log["minutes_to_stop_score"] == {20: 0.5, 100: None}  # the mean of games 11 to 30 is 20.5
    as_json = json.loads(json.dumps(log))
    assert modules["report"].when(as_json, 20) == "after 0.5 minutes"
    assert modules["report"].when(as_json, 100) == "never"


def test_parts_leave_curves_and_a_row_for_each_run(
    modules: Any, without_training: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["parts.py", str(tmp_path / "runs"), str(tmp_path / "pong-parts")]
    monkeypatch.setattr(sys, "argv", arguments)
    modules["train.parts"].main()
    modules["train.parts"].main()
    assert len(without_training) == 8  # none a second time
    assert (tmp_path / "pong-parts/curves.png").stat().st_size > 0
    text = modules["learning_table"].parts(tmp_path, modules["report"].table)
    assert "| `noisy` | 400 | 50 | 40 | 30.5 | 30.5 | 10 |" in text


def test_minutes_of_pong_are_told_seed_by_seed_and_no_seed_runs_twice(
    modules: Any, without_training: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, out = modules["train.pong"], tmp_path / "pong_seeds.json"
    played = {"episodes": 20, "mean": 20.5, "standard_error": 0.1}
    monkeypatch.setattr(script, "evaluation", lambda *_: played)
    minutes = iter([{20: 9.0, 100: 11.0}, {20: 10.0, 100: None}, {20: 12.0, 100: 15.0}])
    log = {"steps": 60_000, "minutes": 20.0}
    monkeypatch.setattr(script, "training", lambda _: {**log, "minutes_to_stop_score": {**next(minutes)}})
    for seeds in ("2", "3"):
        monkeypatch.setattr(sys, "argv", ["pong.py", str(tmp_path / "runs"), str(out), "--seeds", seeds])
        script.main()
    assert [command[command.index("--seed") + 1] for command in without_training] == ["0", "1", "2"]
    text = modules["learning_table"].pong(tmp_path, modules["report"].table)
    assert text.startswith("2 of 3 seeds reach a mean of 18 over 100 games within 25 minutes;")
    assert "interquartile mean 17.0 minutes." in text  # one that did not reach it counts as 25
    assert "| 1 | 10.0 | not reached | 60,000 | 50 | 20.5 ± 0.1 (20 games) |" in text


def test_sweep_scores_the_best_snapshot_and_the_last_network(
    modules: Any, without_training: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluation(run: Path, num_episodes: int, network: str, wrapper: tuple[str, ...]) -> dict[str, Any]:
        bad = run.name.endswith("-0") or network == "latest"
        return {"episodes": num_episodes, "mean": 100.0 if bad else 500.0}

    monkeypatch.setattr(modules["train.sweep"], "evaluation", evaluation)
    arguments = [
        "sweep.py",
        str(tmp_path / "runs"),
        str(tmp_path / "cartpole.json"),
        "--presets",
        "dqn",
        "noisy",
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    modules["train.sweep"].main()
    modules["train.sweep"].main()
    assert len(without_training) == 10  # two presets, five seeds, none a second time
    told = json.loads((tmp_path / "cartpole.json").read_text())["presets"]["dqn"]
    assert told["interquartile_mean"] == {"best": 500.0, "last": 100.0}
    text = modules["learning_table"].cartpole(tmp_path, modules["report"].table)
    assert "met by 2 of 2 presets." in text
    assert "| `dqn` | 500.0 | 500.0 | 100.0 | 100.0 | 400 (400) |" in text


def test_sweep_of_some_presets_keeps_the_others_with_the_machine_they_were_measured_on(
    modules: Any, without_training: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules["train.sweep"], "evaluation", lambda *_: {"mean": 500.0})
    arguments = ["sweep.py", str(tmp_path / "runs"), str(tmp_path / "cartpole.json"), "--presets"]
    for processor, preset in (("Abacus", "noisy"), ("Slide Rule", "dqn")):
        monkeypatch.setattr(
            modules["train.sweep"], "machine", lambda name=processor: {"cores": 2, "processor": name}
        )
        monkeypatch.setattr(sys, "argv", [*arguments, preset])
        modules["train.sweep"].main()
    presets = json.loads((tmp_path / "cartpole.json").read_text())["presets"]
    assert [(name, told["machine"]["processor"]) for name, told in presets.items()] == [
        ("dqn", "Slide Rule"),
        ("noisy", "Abacus"),
    ]
    text = modules["learning_table"].cartpole(tmp_path, modules["report"].table)
    assert "one run at a time on 2 cores of an Slide Rule (`dqn`), one run at a time" in text


def test_pendulum_is_swept_with_the_presets_that_it_suits_and_told_beside_its_targets(
    modules: Any, without_training: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = {"ddpg": -170.0, "td3": -150.0, "sac": -150.0, "naf": -190.0, "cem": -250.0}
    told = lambda run, *_: {"mean": means[run.name.rpartition("-")[0]]}  # noqa: E731
    monkeypatch.setattr(modules["train.sweep"], "evaluation", told)
    arguments = [str(tmp_path / "runs"), str(tmp_path / "pendulum.json"), "--env", "Pendulum-v1"]
    monkeypatch.setattr(sys, "argv", ["sweep.py", *arguments, "--seeds", "2"])
    modules["train.sweep"].main()
    assert len(without_training) == 10
    assert all(command[command.index("--env") + 1] == "Pendulum-v1" for command in without_training)
    task = modules["train.tasks"].TASKS["Pendulum-v1"]
    text = modules["learning_table"].of_task(tmp_path, modules["report"].table, task)
    assert "every preset has to reach: met by 4 of 5 presets; missed: `ddpg` by 10.0." in text
    assert "Elsewhere: DDPG -152.1, TD3 -151.9, SAC -157 (RL Baselines3 Zoo, 20,000 steps)." in text
    assert "seeds 0 to 1, " in text
    runs = {"a": {"runs": [{"seed": 10}, {"seed": 11}]}, "b": {"runs": [{"seed": 0}]}}
    assert modules["learning_table"].seeds_of(runs) == "seeds 10 to 11 (`a`), 0 to 0 (`b`)"
    assert "| `td3` | 2 | -150.0 (-150.0 to -150.0) | -160 | -150.0 | -150.0 | 400 | 10 |" in text


@pytest.mark.parametrize(
    "env_id", ["Acrobot-v1", "MountainCar-v0", "LunarLander-v3", "LunarLanderContinuous-v3"]
)
def test_presets_of_a_task_have_its_budget_and_keep_their_best_network(modules: Any, env_id: str) -> None:
    task = modules["train.tasks"].TASKS[env_id]
    for preset in task.presets:
        agent, _ = preset_values(preset)
        values = agent.defaults(env_id, "vector", {})
        assert f"{values['steps']:,} steps" in task.source
        assert values["best_episodes"] >= 10
    assert {*task.targets} <= {*task.presets}


def test_overview_has_the_best_preset_of_each_task_that_was_measured(modules: Any, tmp_path: Path) -> None:
    write_results(tmp_path / "mountain_car.json", num_runs=2, dqn=-99.0, n_step=-98.0)
    text = overview(modules, tmp_path)
    assert (
        "`mujigae train n_step --env MountainCar-v0` | -98.0 | -99.0 to -97.0 | 2 | 9,000 | DQN -100.8"
        in text
    )
    assert "Acrobot" not in text


def test_overview_has_the_options_and_the_unit_of_a_task_and_no_interval_of_one_seed(
    modules: Any, tmp_path: Path
) -> None:
    write_results(tmp_path / "flappy_bird.json", num_runs=1, n_step=60.0)
    command = "mujigae train n_step --env FlappyBird-v0 --env-kwargs use_lidar=False --minutes 20"
    assert f"| FlappyBird-v0 (pipes a game) | `{command}` | 60.0 |  | 1 |" in overview(modules, tmp_path)


def write_results(path: Path, num_runs: int, **means: float) -> None:
    """What a sweep leaves of presets with these scores, as far as the overview reads it."""
    runs = [{"training": {"steps": 9_000}}] * num_runs
    presets = {
        name: {
            "interquartile_mean": {"best": mean},
            "interval": {"best": [mean - 1, mean + 1]},
            "runs": runs,
        }
        for name, mean in means.items()
    }
    path.write_text(json.dumps({"presets": presets}))


def overview(modules: Any, results: Path) -> str:
    text: str = modules["learning_table"].overview(
        results, modules["report"].table, modules["train.tasks"].TASKS.values()
    )
    return text


def test_sweep_takes_the_seeds_that_it_is_told_to(
    modules: Any, without_training: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules["train.sweep"], "evaluation", lambda *_: {"mean": 500.0})
    arguments = ["sweep.py", str(tmp_path / "runs"), str(tmp_path / "cartpole.json"), "--presets", "dqn"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--first-seed", "10", "--seeds", "2"])
    modules["train.sweep"].main()
    assert [command[command.index("--seed") + 1] for command in without_training] == ["10", "11"]
    runs = json.loads((tmp_path / "cartpole.json").read_text())["presets"]["dqn"]["runs"]
    assert [run["seed"] for run in runs] == [10, 11]


def test_missed_target_names_the_preset(modules: Any) -> None:
    good = {"interquartile_mean": {"best": 497.0}, "highest": {"best": 500.0}}
    bad = {"interquartile_mean": {"best": 494.0}, "highest": {"best": 500.0}}
    told = modules["learning_table"].cartpole_verdict({"dqn": good, "c51": bad})
    assert told.endswith("met by 1 of 2 presets, missed by `c51`.")


def test_what_is_not_measured_yet_says_so(modules: Any, tmp_path: Path) -> None:
    table, task = modules["report"].table, modules["train.tasks"].TASKS["Pendulum-v1"]
    for told in (modules["learning_table"].cartpole, modules["learning_table"].parts):
        assert told(tmp_path, table).startswith("Not measured yet")
    assert modules["learning_table"].of_task(tmp_path, table, task).startswith("Not measured yet")


def test_interquartile_mean_leaves_the_ends_out(modules: Any) -> None:
    assert modules["train.sweep"].interquartile_mean([0.0, 500.0, 490.0, 500.0, 500.0]) == pytest.approx(
        1490 / 3
    )


def test_study_trains_each_variant_with_its_options_and_is_told_beside_the_others(
    modules: Any, without_training: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = {"best": 9.0, "latest": 8.0}
    monkeypatch.setattr(
        modules["train.sweep"], "evaluation", lambda run, games, network, *_: {"mean": means[network]}
    )
    study = modules["train.studies"].STUDIES["batches-breakout"]
    arguments = [str(tmp_path / "runs"), str(tmp_path / study.file), "--study", study.name, "--seeds", "2"]
    monkeypatch.setattr(sys, "argv", ["sweep.py", *arguments])
    modules["train.sweep"].main()
    larger = next(command for command in without_training if "--batch-size" in command)
    assert larger[larger.index("train") :][:4] == ["train", "dqn", "--batch-size", "128"]
    assert [command[command.index("--steps") + 1] for command in without_training] == ["300000"] * 6
    text = modules["learning_table"].of_study(tmp_path, modules["report"].table, study)
    assert "| `batch-32` | 9.0 (9.0, 9.0) | 8.0 (8.0, 8.0) | 50 |" in text
    assert "`batch-32` is `mujigae train dqn --env MinAtar/Breakout-v1 --steps 300000`;" in text
    assert "Seeds 0 to 1, one run at a time on " in text


@pytest.mark.parametrize("name", ["batches-breakout", "batches-freeway"])
def test_larger_batches_are_of_as_many_samples_and_steps_between_targets(modules: Any, name: str) -> None:
    study = modules["train.studies"].STUDIES[name]
    runs = []
    for variant in study.presets:
        preset, *options = study.variants[variant]
        values = dict(zip(options[::2], options[1::2], strict=True))
        overrides = {key[2:].replace("-", "_"): float(value) for key, value in values.items()}
        whole = {key: int(value) if value.is_integer() else value for key, value in overrides.items()}
        runs.append(resolve(preset, study.env_id, {**whole, "steps": study.steps}))
    assert {run.replay.batch_size // run.replay.learn_period_steps for run in runs} == {32}
    periods = [run.agent.target_update_period_updates * run.replay.learn_period_steps for run in runs]
    assert set(periods) == {1_000}
    assert all(run.budget.best_episodes >= 10 for run in runs)
