"""What can be added to a torso: normalisation, width and pooling, against numbers worked out apart; the residual torso."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_agent import PIXELS, are_equal, make_agent, make_batch, parameters
from torch import nn

from mujigae.agents.dqn.config import DQNConfig
from mujigae.config.run import Run
from mujigae.errors import ConfigError
from mujigae.networks import TORSOS, Impala, Mlp, Nature, TorsoOptions
from mujigae.networks.impala import Residual
from mujigae.networks.norms import BatchNorm, spectrally_normalised

SIDES = {"nature": 36, "small_pixels": 20, "tiny_pixels": 10, "data_efficient": 30, "impala": 20}
ALL = TorsoOptions(batch_norm=True, spectral_norm=True, width=2, pool_size=2)


def images(side: int, batch_size: int = 3) -> torch.Tensor:
    return torch.rand(batch_size, 2, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize(
    "options",
    [{}, {"batch_norm": True}, {"spectral_norm": True}, {"width": 3}, {"pool_size": 2}, ALL._asdict()],
    ids=str,
)
def test_every_torso_takes_every_option_and_gives_as_many_features_as_it_says(
    name: str, options: dict[str, Any]
) -> None:
    torso = TORSOS[name]((2, SIDES[name], SIDES[name]), (), TorsoOptions(**options))
    features = torso(images(SIDES[name]))
    assert features.shape == (3, torso.out_features)
    features.sum().backward()
    assert all(parameter.grad is not None for parameter in torso.parameters())


def test_impala_has_the_sizes_of_the_paper() -> None:
    """Three sections of 16, 32 and 32 channels: five 3 x 3 convolutions each, 84 -> 42 -> 21 -> 11."""
    torso = Impala((4, 84, 84))
    assert torso.out_features == 32 * 11 * 11
    sections = [(4, 16), (16, 32), (32, 32)]
    expected = sum((9 * n_in + 1) * n_out + 4 * (9 * n_out + 1) * n_out for n_in, n_out in sections)
    assert sum(parameter.numel() for parameter in torso.parameters()) == expected


def test_impala_of_twice_the_width_pooled_to_six_has_the_features_of_btr() -> None:
    assert Impala((4, 84, 84), (), TorsoOptions(width=2, pool_size=6)).out_features == 64 * 6 * 6


def test_residual_blocks_of_no_weight_hand_their_input_on() -> None:
    torso = Impala((2, 8, 8))
    blocks = [module for module in torso.modules() if isinstance(module, Residual)]
    for block in blocks:
        for parameter in block.parameters():
            nn.init.zeros_(parameter)
    plain = nn.Sequential(*(module for module in torso.layers if module not in blocks))
    assert len(blocks) == 6
    torch.testing.assert_close(torso(images(8)), plain(images(8)))


def test_data_efficient_torso_has_the_features_of_the_paper() -> None:
    assert TORSOS["data_efficient"]((4, 84, 84)).out_features == 64 * 3 * 3


def test_pool_keeps_the_largest_of_each_part_worked_by_hand() -> None:
    torso = TORSOS["tiny_pixels"]((1, 6, 6), (), TorsoOptions(pool_size=2))
    plain = TORSOS["tiny_pixels"]((1, 6, 6))
    plain.load_state_dict(torso.state_dict())
    image = images(6)[:, :1]
    expected = plain(image).reshape(3, 16, 2, 2, 2, 2).amax(dim=(3, 5)).flatten(1)  # 4 x 4 in four parts
    torch.testing.assert_close(torso(image), expected)


# --- batch normalisation ---


def test_batch_norm_by_the_batch_worked_by_hand_where_gradients_are_taken() -> None:
    norm = BatchNorm(1, eps=1e-12)
    out = norm(torch.tensor([[1.0], [3.0]]))  # mean 2, variance 1
    torch.testing.assert_close(out, torch.tensor([[-1.0], [1.0]]))
    assert norm.running_mean.tolist() == pytest.approx([0.2])  # a tenth of the way
    assert norm.running_var.tolist() == pytest.approx([0.9 * 1 + 0.1 * 2])  # the unbiased variance is 2


def test_batch_norm_without_gradients_is_by_the_running_statistics_and_moves_none() -> None:
    norm = BatchNorm(1, eps=1e-12)
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(4.0)
    for mode in (True, False):
        norm.train(mode)
        with torch.no_grad():
            assert norm(torch.tensor([[5.0]])).tolist() == [[2.0]]
    assert (norm.running_mean.tolist(), norm.running_var.tolist()) == ([1.0], [4.0])


def test_batch_norm_follows_each_relu() -> None:
    kinds = [
        type(module).__name__ for module in Nature((4, 84, 84), (), TorsoOptions(batch_norm=True)).layers
    ]
    assert kinds == ["Conv2d", "ReLU", "BatchNorm"] * 3 + ["Flatten"]
    kinds = [type(module).__name__ for module in Mlp((3,), (8,), TorsoOptions(batch_norm=True)).layers]
    assert kinds == ["Flatten", "Linear", "ReLU", "BatchNorm"]


def test_acting_does_not_depend_on_the_other_environments_and_moves_no_statistics() -> None:
    agent = make_agent(batch_norm=True)
    for seed in range(3):
        agent.learn(make_batch(seed=seed))
    before = [tensor.clone() for tensor in agent.online.state_dict().values()]
    obs = make_batch(8).obs.numpy()
    alone = [int(agent.act(obs[i : i + 1], 20_000)[0]) for i in range(8)]
    epsilon_free = make_agent(batch_norm=True, epsilon_end=0.0)
    epsilon_free.restore(agent.tensors(), agent.state())
    together = epsilon_free.act(obs, 20_000)
    np.testing.assert_array_equal(
        together, [int(epsilon_free.act(obs[i : i + 1], 20_000)[0]) for i in range(8)]
    )
    assert len(alone) == 8
    assert are_equal(before, list(agent.online.state_dict().values()))


def test_target_takes_the_running_statistics_along() -> None:
    agent = make_agent(batch_norm=True, target_update_period_updates=2)
    fresh = agent.target.state_dict()["torso.layers.3.running_mean"].clone()
    agent.learn(make_batch())
    assert torch.equal(agent.target.state_dict()["torso.layers.3.running_mean"], fresh)
    agent.learn(make_batch())
    assert are_equal(list(agent.online.state_dict().values()), list(agent.target.state_dict().values()))


def test_batch_of_one_row_is_refused_beside_batch_norm() -> None:
    with pytest.raises(ConfigError, match=r"^batch_size: expected at least 2 with batch_norm, got 1$"):
        Run.from_flat({"batch_norm": True, "batch_size": 1}, DQNConfig)


# --- spectral normalisation ---


def test_spectrally_normalised_weights_have_a_largest_singular_value_of_one() -> None:
    torch.manual_seed(0)
    layer = spectrally_normalised(nn.Linear(6, 4))
    for _ in range(100):
        layer(torch.zeros(1, 6))
    largest = torch.linalg.matrix_norm(layer.weight.detach(), ord=2)
    assert float(largest) == pytest.approx(1.0, abs=1e-3)


def test_spectral_norm_is_in_every_residual_block_of_impala_and_nowhere_else() -> None:
    torso = Impala((2, 8, 8), (), TorsoOptions(spectral_norm=True))
    names = {
        name.rsplit(".parametrizations", 1)[0] for name, _ in torso.named_parameters() if "param" in name
    }
    inside = {n for n, m in torso.named_modules() if isinstance(m, nn.Conv2d) and ".layers." in n}
    assert names == inside
    assert len(inside) == 12


@pytest.mark.parametrize(
    "options", [{"batch_norm": True}, {"spectral_norm": True}, {"pool_size": 2}], ids=str
)
@pytest.mark.parametrize("torso", ["small_pixels", "impala"])
def test_agent_with_it_is_saved_and_goes_on_bit_for_bit(torso: str, options: dict[str, Any]) -> None:
    agent, other = (make_agent(PIXELS, torso=torso, **options, seed=seed) for seed in (0, 1))
    batch = make_batch(shape=(4, 30, 30))
    agent.learn(batch)
    other.restore(agent.tensors(), agent.state())
    agent.learn(batch), other.learn(batch)
    assert are_equal(parameters(agent.online), parameters(other.online))


@pytest.mark.parametrize(("name", "value", "plain"), [("torso_width", 2, 1), ("pool_size", 6, 0)])
def test_width_and_pool_are_refused_where_there_are_no_convolutions(
    name: str, value: int, plain: int
) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}: expected {plain} with the mlp torso"):
        DQNConfig(**{name: value})
