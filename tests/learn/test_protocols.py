"""--protocol: all that a score on Atari depends on is set by a paper, has a source, and gives way to the caller."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mujigae.agents.dqn.beyond import BTR, DER
from mujigae.agents.dqn.config import DQNConfig
from mujigae.agents.dqn.presets import PRESETS
from mujigae.agents.dqn.protocols import LOSS_PROTOCOLS, PROTOCOLS, UNIFORM_C51
from mujigae.agents.dqn.sources import Table
from mujigae.agents.presets import resolve
from mujigae.agents.registry import config_of
from mujigae.config.checks import field_docs
from mujigae.config.run import EnvConfig, flat_fields
from mujigae.config.saved import run_from_values, run_to_json
from mujigae.errors import ConfigError

GAME = "ALE/Pong-v5"
TABLES: dict[str, Table] = {
    **PROTOCOLS,
    **{f"{name}-{loss}": table for name, own in LOSS_PROTOCOLS.items() for loss, table in own.items()},
    **{"uniform c51": UNIFORM_C51, "btr": BTR, "der": DER},
}
ATARI_FLAGS = [name for name, doc in field_docs(EnvConfig).items() if doc.startswith("Atari: ")]
HYPERPARAMETERS = [
    *("optimizer", "learning_rate", "learning_rate_end", "max_grad_norm", "batch_size", "capacity", "gamma"),
    *("min_replay_steps", "learn_period_steps", "num_updates", "target_update_period_updates", "tau"),
    *(
        "epsilon_schedule",
        "epsilon_start",
        "epsilon_end",
        "epsilon_steps",
        "epsilon_hold_steps",
        "eval_epsilon",
    ),
    *("alpha", "beta_start", "beta_end", "torso", "head_size", "clip_rewards", "num_envs", "steps"),
]


def values(preset: str, protocol: str | None = None, **changes: Any) -> dict[str, Any]:
    return resolve(preset, GAME, {"protocol": protocol, **changes}).flat()


@pytest.mark.parametrize("name", TABLES)
def test_every_value_is_one_of_a_field_and_has_a_source(name: str) -> None:
    known = flat_fields(DQNConfig)
    for field, told in TABLES[name].items():
        assert field in known
        assert told.source.strip()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("preset", PRESETS)
def test_protocol_sets_every_flag_of_atari_and_every_hyperparameter_of_any_preset(
    protocol: str, preset: str
) -> None:
    assert ATARI_FLAGS
    table = PROTOCOLS[protocol]
    assert [name for name in (*ATARI_FLAGS, *HYPERPARAMETERS) if name not in table] == []
    own = set(LOSS_PROTOCOLS.get(protocol, {}).get(PRESETS[preset].get("loss", ""), {})) | set(UNIFORM_C51)
    got = values(preset, protocol)
    for name, told in table.items():
        if name not in own and told.value is not None:
            assert got[name] == told.value, name


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("nature", {"sticky_probability": 0.0, "life_loss": True, "num_noops": 30, "optimizer": "rmsprop"}),
        ("nature", {"learning_rate": 2.5e-4, "epsilon_end": 0.1, "epsilon_steps": 1_000_000}),
        (
            "rainbow",
            {"sticky_probability": 0.0, "life_loss": True, "optimizer": "adam", "epsilon_steps": 62_500},
        ),
        (
            "dopamine",
            {"sticky_probability": 0.25, "life_loss": False, "num_noops": 0, "epsilon_steps": 250_000},
        ),
    ],
)
def test_protocols_differ_where_their_papers_do(protocol: str, expected: dict[str, Any]) -> None:
    got = values("dqn", protocol)
    assert got | expected == got


@pytest.mark.parametrize(
    ("preset", "learning_rate", "adam_eps"),
    [
        ("dqn", 6.25e-5, 1.5e-4),
        ("rainbow", 6.25e-5, 1.5e-4),
        ("c51", 2.5e-4, 3.125e-4),
        ("iqn", 5e-5, 3.125e-4),
        ("qr_dqn", 5e-5, 3.125e-4),
    ],
)
def test_dopamine_has_values_of_its_own_for_some_losses(
    preset: str, learning_rate: float, adam_eps: float
) -> None:
    got = values(preset, "dopamine")
    assert (got["learning_rate"], got["adam_eps"]) == (learning_rate, adam_eps)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocol_leaves_the_parts_to_the_preset(protocol: str) -> None:
    names = ("double", "dueling", "prioritized", "n_step", "noisy", "loss")
    for preset in ("dqn", "double", "rainbow", "iqn"):
        got, plain = values(preset, protocol), values(preset)
        assert [got[name] for name in names] == [plain[name] for name in names]


def test_what_is_given_beside_a_protocol_goes_first() -> None:
    got = values("dqn", "nature", sticky_probability=0.25, learning_rate=1e-3)
    assert (got["sticky_probability"], got["learning_rate"], got["num_noops"]) == (0.25, 1e-3, 30)


def test_protocol_is_saved_with_the_run() -> None:
    run = resolve("dqn", GAME, {"protocol": "nature"})
    assert run_from_values(json.loads(run_to_json(run)), config_of) == run
    assert run.protocol == "nature"


@pytest.mark.parametrize("env_id", ["CartPole-v1", "mujigae/Catch-v0"])
def test_protocol_away_from_atari_is_refused(env_id: str) -> None:
    with pytest.raises(ConfigError, match=r"^protocol: expected an environment of Atari .* for nature"):
        resolve("dqn", env_id, {"protocol": "nature"})


def test_unknown_protocol_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^protocol: expected one of nature, rainbow, dopamine or None, got"
    ):
        resolve("dqn", GAME, {"protocol": "natural"})


def test_preset_on_atari_says_whose_values_it_uses() -> None:
    for preset in ("dqn", "double", "rainbow"):
        run = resolve(preset, GAME)
        assert any("those of Rainbow" in note for note in run.agent.notes(run))
    for run in (resolve("dqn", GAME, {"protocol": "nature"}), resolve("btr"), resolve("dqn", "CartPole-v1")):
        assert not any("those of Rainbow" in note for note in run.agent.notes(run))
