"""Config and presets: validation, the JSON round trip, and who overrides whom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.dqn.presets import ENVIRONMENTS, FAMILIES, LOSS_FAMILIES, NOISY_FAMILIES, PRESETS
from mujigae.agents.presets import resolve
from mujigae.agents.registry import config_of
from mujigae.config.checks import field_docs
from mujigae.config.run import EnvConfig, ReplayConfig, Run, flat_fields
from mujigae.config.saved import run_from_values, run_to_json
from mujigae.errors import ConfigError

PARTS = ("double", "dueling", "prioritized", "n_step", "noisy", "loss")


def parts(config: Run) -> tuple[object, ...]:
    return tuple(config.flat()[part] for part in PARTS)


def from_json(text: str) -> Run:
    return run_from_values(json.loads(text), config_of)


def has(config: Run, values: Mapping[str, Any]) -> bool:
    """Whether these are the values of these fields."""
    return config.flat() | values == config.flat()


def saved() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(run_to_json(resolve("dqn", "CartPole-v1")))
    return values


@pytest.mark.parametrize("name", flat_fields(DQNConfig))
def test_every_field_has_one_line_of_documentation(name: str) -> None:
    doc = field_docs(flat_fields(DQNConfig)[name])[name]
    assert doc
    assert "\n" not in doc
    assert doc[-1] in "."


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("env_id", ["CartPole-v1", "mujigae/Catch-v0"])
def test_every_preset_resolves_and_survives_json(preset: str, env_id: str) -> None:
    config = resolve(preset, env_id, {"seed": 3})
    assert from_json(run_to_json(config)) == config


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("dqn", (False, False, False, 1, False, "huber")),
        ("double", (True, False, False, 1, False, "huber")),
        ("dueling", (False, True, False, 1, False, "huber")),
        ("prioritized", (False, False, True, 1, False, "huber")),
        ("n_step", (False, False, False, 3, False, "huber")),
        ("noisy", (False, False, False, 1, True, "huber")),
        ("c51", (False, False, False, 1, False, "cross_entropy")),
        ("qr_dqn", (False, False, False, 1, False, "quantile")),
        ("iqn", (False, False, False, 1, False, "implicit_quantile")),
        ("rainbow", (True, True, True, 3, True, "cross_entropy")),
        ("munchausen", (False, False, False, 1, False, "huber")),
        ("hl_gauss", (False, False, False, 1, False, "hl_gauss")),
        ("pong", (True, True, True, 10, False, "huber")),
    ],
)
def test_preset_switches_exactly_its_parts(preset: str, expected: tuple[object, ...]) -> None:
    assert parts(resolve(preset, "CartPole-v1")) == expected


def test_atari_family_is_the_table_of_the_rainbow_paper() -> None:
    config = resolve("rainbow", "ALE/Pong-v5")
    table = {  # Hessel et al. 2018, table 1; frames divided by 4
        "min_replay_steps": 20_000,
        "learning_rate": 6.25e-5,
        "adam_eps": 1.5e-4,
        "noisy_sigma": 0.5,
        "target_update_period_updates": 2_000,
        "alpha": 0.5,
        "beta_start": 0.4,
        "beta_end": 1.0,
        "n_step": 3,
        "num_atoms": 51,
        "v_min": -10.0,
        "v_max": 10.0,
        "batch_size": 32,
        "gamma": 0.99,
        "capacity": 1_000_000,
        "learn_period_steps": 4,
        "frame_size": 84,
        "sticky_probability": 0.0,
        "clip_rewards": True,
        "epsilon_end": 0.01,  # the text: 250,000 frames without noisy layers
        "epsilon_steps": 62_500,
    }
    assert config.flat() | table == config.flat()


def test_pong_preset_is_small_and_brings_its_environment() -> None:
    config = resolve("pong")
    assert config.env.env_id == "ALE/Pong-v5"
    assert (config.env.frame_size, config.env.num_envs) == (42, 16)
    assert config.flat()["torso"] == "small_pixels"
    assert config.hardware.precision == "fastest"
    assert config.hardware.channels_last
    assert config.env.num_envs == 2 * config.replay.learn_period_steps  # two updates for each vector step


def test_return_distributions_have_values_of_their_own() -> None:
    values = LOSS_FAMILIES["cross_entropy"]["vector"]
    assert has(resolve("c51", "CartPole-v1"), values)
    assert has(resolve("dqn", "CartPole-v1"), {"learning_rate": FAMILIES["vector"]["learning_rate"]})


def test_noisy_layers_have_values_of_their_own_unless_distributions_have_them() -> None:
    values = NOISY_FAMILIES["vector"]
    assert has(resolve("noisy", "CartPole-v1"), values)
    ours, c51 = resolve("rainbow", "CartPole-v1").flat(), resolve("c51", "CartPole-v1").flat()
    assert {name: ours[name] for name in values} == {name: c51[name] for name in values}


def test_parts_that_the_caller_switches_bring_their_values_too() -> None:
    noisy, c51 = NOISY_FAMILIES["vector"], LOSS_FAMILIES["cross_entropy"]["vector"]
    switched = resolve("dqn", "CartPole-v1", {"noisy": True})
    assert has(switched, noisy)
    switched = resolve("rainbow", "CartPole-v1", {"loss": "huber"})
    assert has(switched, noisy)
    assert switched.flat()["hidden_sizes"] == FAMILIES["vector"]["hidden_sizes"] != c51["hidden_sizes"]
    assert resolve("dqn", "CartPole-v1", {"noisy": True, "target_update_period_updates": 7})


def test_cartpole_has_its_documented_budget_and_support() -> None:
    config = resolve("c51", "CartPole-v1")
    assert has(config, {"steps": 50_000, "v_min": 0.0, "v_max": 100.0})


def test_precedence_is_family_then_environment_then_preset_then_override(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("learning_rate", "adam_eps", "batch_size", "tau")
    monkeypatch.setitem(FAMILIES, "vector", dict.fromkeys(names[:3], 0.5) | {"batch_size": 11})
    monkeypatch.setitem(ENVIRONMENTS, "CartPole-v1", {"adam_eps": 0.25, "batch_size": 12})
    monkeypatch.setitem(PRESETS, "dqn", {"batch_size": 13, "gamma": 0.5})
    config = resolve("dqn", "CartPole-v1", {"gamma": 0.75})
    assert has(config, {"learning_rate": 0.5, "adam_eps": 0.25, "batch_size": 13})
    assert has(config, {"gamma": 0.75, "tau": DQNConfig.tau})


def test_resolving_leaves_nothing_to_the_machine() -> None:
    config = resolve("dqn", "CartPole-v1", {"steps": 1_234})
    assert config.replay.beta_steps == 1_234 - 1_024
    assert config.hardware.num_threads == 1
    assert resolve("dqn", "mujigae/Catch-v0", {"num_threads": 2}).hardware.num_threads == 2


@pytest.mark.parametrize(
    ("preset", "env_id", "expected"),
    [
        ("rainbow", "CartPole-v1", 1),
        ("sac", "Pendulum-v1", 1),
        ("dqn", "mujigae/Catch-v0", 1),
        ("n_step", "mujigae/Catch-v0", 1),
        ("rainbow", "mujigae/Catch-v0", 4),
        ("qr_dqn", "mujigae/Catch-v0", 4),
    ],
)
def test_small_networks_have_one_thread_and_others_every_core(
    preset: str, env_id: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert resolve(preset, env_id).hardware.num_threads == expected


def test_unknown_preset_names_close_ones() -> None:
    with pytest.raises(ConfigError, match="unknown preset 'rainbw'; did you mean rainbow"):
        resolve("rainbw", "CartPole-v1")


def test_unknown_option_names_close_ones() -> None:
    with pytest.raises(ConfigError, match="unknown option 'batch_sise'; did you mean batch_size"):
        resolve("dqn", "CartPole-v1", {"batch_sise": 3})


def test_json_with_an_unknown_name_is_refused() -> None:
    values = saved()
    values["replay"]["gama"] = 0.9
    with pytest.raises(ConfigError, match="replay: unknown option 'gama'; did you mean gamma"):
        run_from_values(values, config_of)


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("env", "num_envs", None, "num_envs: expected an integer, got None"),
        ("agent", "tau", "1", "tau: expected a finite number, got '1'"),
        ("budget", "steps", 0, "steps: expected at least 1, got 0"),
        ("hardware", "compile", 1, "compile: expected true or false, got 1"),
    ],
)
def test_json_with_a_wrong_value_is_refused(part: str, name: str, value: object, message: str) -> None:
    values = saved()
    values[part][name] = value
    with pytest.raises(ConfigError, match=message):
        run_from_values(values, config_of)


@pytest.mark.parametrize(("agent", "env_id"), [("rainbow", "CartPole-v1"), ("sac", "Pendulum-v1")])
def test_field_that_a_saved_part_lacks_has_its_default(agent: str, env_id: str) -> None:
    """As a run has it that was made before there was such an option."""
    run = resolve(agent, env_id, {"learning_rate_end": 1e-5, "gamma": 0.5})
    values = json.loads(run_to_json(run))
    del values["agent"]["learning_rate_end"], values["replay"]["gamma"]
    read = run_from_values(values, config_of).flat()
    assert read == run.flat() | {"learning_rate_end": None, "gamma": ReplayConfig().gamma}


def test_json_without_a_part_is_refused() -> None:
    values = saved()
    del values["replay"]
    with pytest.raises(ConfigError, match="config: expected replay, which is missing"):
        run_from_values(values, config_of)
    with pytest.raises(ConfigError, match="env: expected a JSON object, got int"):
        run_from_values(saved() | {"env": 3}, config_of)


def test_json_of_an_unknown_version_names_both() -> None:
    with pytest.raises(ConfigError, match="config: expected version 2 or 1, got version 3"):
        run_from_values(saved() | {"version": 3}, config_of)


def test_flat_json_of_the_first_version_is_read() -> None:
    flat = resolve("rainbow", "CartPole-v1", {"seed": 4}).flat()
    del flat["agent_name"]
    assert from_json(json.dumps(flat)) == resolve("rainbow", "CartPole-v1", {"seed": 4})


def test_json_keeps_every_bit_of_a_float() -> None:
    values = {"learning_rate": 0.1 + 0.2, "hidden_sizes": (3, 5), "stop_score": -1e-300}
    config = Run.from_flat(values, DQNConfig)
    assert from_json(run_to_json(config)) == config


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_step", 0, "n_step: expected at least 1, got 0"),
        ("n_step", 1.5, "n_step: expected an integer, got 1.5"),
        ("batch_size", True, "batch_size: expected an integer, got True"),
        ("double", 1, "double: expected true or false, got 1"),
        ("gamma", 1.01, "gamma: expected a number from 0 to 1, got 1.01"),
        ("gamma", float("nan"), "gamma: expected a finite number, got nan"),
        ("tau", 0.0, "tau: expected more than 0, at most 1, got 0.0"),
        (
            "loss",
            "l1",
            "loss: expected one of huber, squared, cross_entropy, hl_gauss, quantile, implicit_quantile, got 'l1'",
        ),
        ("minutes", 0.0, "minutes: expected more than 0, got 0.0"),
        ("minutes", "3", "minutes: expected a finite number or None, got '3'"),
        ("num_atoms", 1, "num_atoms: expected at least 2, got 1"),
        ("v_max", -10.0, r"v_max: expected more than v_min \(-10\), got -10.0"),
        ("capacity", 3, r"capacity: expected a row per environment \(4\), got 3"),
        ("hidden_sizes", (4, 0), r"hidden_sizes: expected at least 1 in every place, got \(4, 0\)"),
        ("hidden_sizes", 4, "hidden_sizes: expected a tuple, each an integer, got 4"),
        ("seed", -1, "seed: expected at least 0, got -1"),
        ("min_reward_per_step", 1.0, "min_reward_per_step: expected at most 0, got 1.0"),
    ],
)
def test_bad_value_is_named_with_what_was_expected(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Run.from_flat({name: value}, DQNConfig)


@pytest.mark.parametrize("name", ["epsilon_start", "epsilon_end"])
def test_exponential_schedule_needs_both_ends_above_zero(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected more than 0"):
        DQNConfig(**{"epsilon_schedule": "exponential", name: 0.0})


@pytest.mark.parametrize(
    ("env_id", "changes", "message"),
    [
        ("CartPole-v1", {"v_max": 99.0}, r"v_max: expected at least 100 .*gamma 0.99\), got 99"),
        ("CartPole-v1", {"v_min": 0.5}, "v_min: expected at most 0 .*, got 0.5"),
        ("Acrobot-v1", {"v_min": -99.0}, r"v_min: expected at most -100 .*gamma 0.99\), got -99"),
        ("MountainCar-v0", {"gamma": 0.995}, "v_min: expected at most -200 .*, got -100"),
        ("Acrobot-v1", {"v_max": -1.0}, "v_max: expected at least 0 .*, got -1"),
        ("CartPole-v1", {"max_reward_per_step": 3.0, "clip_rewards": True, "v_max": 99.0}, "at least 100"),
        ("CartPole-v1", {"min_reward_per_step": -3.0, "clip_rewards": True}, "v_min: expected at most -100"),
    ],
)
def test_support_that_cannot_hold_the_return_is_refused_at_both_ends(
    env_id: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("c51", env_id, changes)
    assert has(resolve("dqn", env_id, changes), changes)  # no support in use


def test_support_that_holds_the_return_is_taken() -> None:
    assert resolve("c51", "CartPole-v1", {"v_max": 50.0, "gamma": 0.98})
    assert resolve("c51", "MountainCar-v0", {"v_min": -200.0, "gamma": 0.995})


@pytest.mark.parametrize(
    "changes",
    [{"env_kwargs": ("sutton_barto_reward=true",)}, {"wrapper": ("gymnasium.wrappers:NormalizeReward",)}],
)
def test_bounds_of_rewards_are_unknown_where_those_may_be_others(changes: dict[str, Any]) -> None:
    changed, plain = (resolve("c51", "CartPole-v1", options) for options in (changes, {}))
    assert plain.agent.notes(plain) == ()
    (note,) = changed.agent.notes(changed)
    assert note.startswith("support: returns beyond [0, 100] count as its edge")


def test_configuration_is_frozen_and_checked_again_when_replaced() -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        Run().changed(batch_size=-1)
    with pytest.raises(ConfigError, match="num_envs"):
        replace(EnvConfig(), num_envs=0)
    with pytest.raises(AttributeError):
        Run().seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_bare_cuda_turns_on_what_helps_there(device: str) -> None:
    on_images = {"cuda_graphs": True, "overlap": True, "frames_on_device": True, "channels_last": True}
    assert has(resolve("rainbow", "ALE/Pong-v5", {"device": device}), {**on_images, "precision": "fastest"})
    vectors = resolve("rainbow", "CartPole-v1", {"device": device})
    assert has(vectors, {"cuda_graphs": True, "overlap": True, "frames_on_device": False})


@pytest.mark.parametrize("preset", ["ddpg", "td3", "sac", "naf", "cem"])
def test_bare_cuda_records_no_updates_of_agents_that_cannot(preset: str) -> None:
    assert has(resolve(preset, None, {"device": "cuda"}), {"cuda_graphs": False, "overlap": True})


def test_what_is_given_beside_cuda_goes_first() -> None:
    given = {"cuda_graphs": False, "precision": "float32", "frames_on_device": False, "prefetch": 2}
    assert has(resolve("rainbow", "ALE/Pong-v5", {"device": "cuda", **given}), given)
    assert not resolve("dqn", "ALE/Pong-v5", {"device": "cuda", "prefetch": 2}).hardware.frames_on_device


def test_cpu_has_none_of_cudas_switches() -> None:
    assert has(
        resolve("rainbow", "ALE/Pong-v5"), {"cuda_graphs": False, "overlap": False, "channels_last": False}
    )
