from __future__ import annotations

import copy
import math
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mujigae.errors import ConfigError
from mujigae.losses import huber
from mujigae.networks import (
    HEADS,
    TORSOS,
    CategoricalHead,
    DuelingHead,
    NoisyLinear,
    QNetwork,
    ReturnHead,
    ScalarHead,
)
from mujigae.networks import build_network as build_network_of

SWITCHES = [
    dict(zip(("dueling", "noisy", "categorical"), on, strict=True)) for on in product((False, True), repeat=3)
]
IMAGES = {"nature": (4, 84, 84), "small_pixels": (4, 42, 42), "tiny_pixels": (1, 10, 5)}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build_network(
    *,
    categorical: bool = False,
    num_atoms: int = 51,
    v_min: float = -10.0,
    v_max: float = 10.0,
    **options: Any,
) -> QNetwork:
    """A network of values, or of distributions over a support."""

    def make_return_head(num_features: int) -> ReturnHead:
        return CategoricalHead(num_atoms, v_min, v_max) if categorical else ScalarHead(huber)

    return build_network_of(**options, make_return_head=make_return_head)


def vector_network(**options: Any) -> QNetwork:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"torso": "mlp", "hidden_sizes": (16,), "hidden_size": 8, "num_atoms": 7}
    return build_network(
        observation_shape=(5,), observation_dtype=np.float32, num_actions=3, **{**sizes, **options}
    )


def pixel_network(torso: str = "small_pixels", **options: Any) -> QNetwork:
    torch.manual_seed(0)
    return build_network(
        observation_shape=IMAGES[torso],
        observation_dtype=np.uint8,
        num_actions=3,
        torso=torso,
        **{"hidden_size": 16, "num_atoms": 7, **options},
    )


def pixels(batch_size: int, torso: str = "small_pixels") -> Tensor:
    return torch.randint(0, 256, (batch_size, *IMAGES[torso]), dtype=torch.uint8, generator=seeded(1))


def input_of(network: QNetwork, obs: Tensor) -> Tensor:
    """What reaches the torso."""
    seen: list[Tensor] = []
    handle = network.torso.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network(obs)
    handle.remove()
    return seen[0]


# --- shapes and parts ---


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_every_combination_of_parts_gives_values_and_a_gradient_everywhere(switches: dict[str, bool]) -> None:
    network = vector_network(**switches)
    output = network(torch.randn(4, 5, generator=seeded(0)))
    q = network.q_values(output)
    assert output.shape == (4, 3, 7 if switches["categorical"] else 1)
    assert q.shape == (4, 3)
    assert q.dtype == output.dtype == torch.float32
    (q**2).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("torso", "num_features"), [("nature", 3136), ("small_pixels", 1152), ("tiny_pixels", 384)]
)
def test_torsos_give_the_features_of_their_paper_sizes(torso: str, num_features: int) -> None:
    network = pixel_network(torso)
    assert network.torso.out_features == num_features
    assert network.torso(pixels(2, torso).float()).shape == (2, num_features)


def test_small_pixels_see_contrasts_not_brightness() -> None:
    torso, obs = pixel_network("small_pixels").torso, pixels(2).float()
    torch.testing.assert_close(torso(0.5 * obs + 20), torso(obs), rtol=1e-4, atol=1e-4)
    assert torch.isfinite(torso(torch.zeros_like(obs))).all()  # a black screen has no variance


def test_nature_dqn_has_the_parameters_of_the_paper() -> None:
    network = build_network(
        observation_shape=(4, 84, 84), observation_dtype=np.uint8, num_actions=6, torso="nature"
    )
    convolutions = (4 * 64 * 32 + 32) + (32 * 16 * 64 + 64) + (64 * 9 * 64 + 64)
    linear = (3136 * 512 + 512) + (512 * 6 + 6)
    assert sum(p.numel() for p in network.parameters()) == convolutions + linear == 1_687_206


def test_each_dueling_stream_has_its_own_hidden_layer() -> None:
    network = pixel_network(dueling=True, hidden_size=16)
    assert isinstance(network.head, DuelingHead)
    sizes = [
        [tuple(m.weight.shape) for m in stream.modules() if isinstance(m, nn.Linear)]
        for stream in (network.head.value_stream, network.head.advantage_stream)
    ]
    assert sizes == [[(16, 1152), (1, 16)], [(16, 1152), (3, 16)]]


def test_hidden_size_zero_leaves_the_hidden_layer_out() -> None:
    network = vector_network(hidden_sizes=(), hidden_size=0)
    weight, bias = network.parameters()
    obs = torch.randn(2, 5, generator=seeded(0))
    torch.testing.assert_close(network.q_values(network(obs)), obs @ weight.T + bias)


def test_image_without_channel_axis_is_one_channel() -> None:
    options: dict[str, Any] = {"observation_dtype": np.float32, "num_actions": 2, "torso": "tiny_pixels"}
    flat = build_network(observation_shape=(10, 5), **options)
    channel = build_network(observation_shape=(1, 10, 5), **options)
    channel.load_state_dict(flat.state_dict())
    obs = torch.rand(3, 10, 5, generator=seeded(0))
    assert torch.equal(flat(obs), channel(obs[:, None]))


def test_mlp_flattens_images() -> None:
    network = build_network(
        observation_shape=(2, 3, 4), observation_dtype=np.uint8, num_actions=2, torso="mlp", hidden_sizes=(8,)
    )
    assert network(torch.zeros(5, 2, 3, 4, dtype=torch.uint8)).shape == (5, 2, 1)


def test_noisy_makes_every_linear_layer_of_the_head_noisy() -> None:
    network = pixel_network(dueling=True, noisy=True, noisy_sigma=0.1)
    linear = [m for m in network.modules() if isinstance(m, nn.Linear | NoisyLinear)]
    assert len(linear) == 4
    assert all(isinstance(m, NoisyLinear) and m.sigma0 == 0.1 for m in linear)


# --- pixels are divided by 255 once ---


@pytest.mark.parametrize("torso", [*IMAGES, "mlp"])
def test_uint8_is_divided_by_255_once(torso: str) -> None:
    network = (
        pixel_network(torso)
        if torso in IMAGES
        else build_network(observation_shape=(6,), observation_dtype=np.uint8, num_actions=2, torso="mlp")
    )
    obs = torch.arange(256, dtype=torch.uint8).repeat(400)[: 2 * math.prod(network.observation_shape)]
    obs = obs.reshape(2, *network.observation_shape)
    seen = input_of(network, obs)
    assert seen.dtype == torch.float32
    assert torch.equal(seen, obs.to(torch.float32) / 255)
    if torso in IMAGES and torso != "tiny_pixels":
        assert seen.max() == 1  # 255 is among the pixels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int16])
def test_other_types_are_never_divided(dtype: torch.dtype) -> None:
    obs = pixels(2).to(dtype)
    assert torch.equal(input_of(pixel_network(), obs), obs.float())


def test_scaling_holds_under_autocast_and_channels_last() -> None:
    network = pixel_network(dueling=True, categorical=True)
    obs = pixels(4)
    expected = network.q_values(network(obs))
    fast = copy.deepcopy(network).to(memory_format=torch.channels_last)
    strided = obs.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(fast.q_values(fast(strided)), expected, rtol=1e-4, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = fast(strided)
        q = fast.q_values(output)
        assert torch.equal(input_of(fast, strided), obs.float() / 255)
    assert output.dtype == q.dtype == torch.float32
    torch.testing.assert_close(q, expected, rtol=0, atol=0.1)


# --- dueling and categorical ---


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_a_batch_of_two_gives_the_same_q_as_each_state_alone(switches: dict[str, bool]) -> None:
    network = pixel_network(**switches)
    obs = pixels(2)
    both = network.q_values(network(obs))
    alone = torch.cat([network.q_values(network(obs[i : i + 1])) for i in range(2)])
    torch.testing.assert_close(both, alone, rtol=1e-5, atol=1e-5)
    assert (both[0] - both[1]).abs().max() > 1e-4  # the states do differ


def dueling_head_of(value: Tensor, advantage: Tensor, num_atoms: int) -> DuelingHead:
    """A dueling head whose streams return these tensors whatever the features are."""

    class Constant(nn.Module):
        def __init__(self, x: Tensor) -> None:
            super().__init__()
            self.x = x

        def forward(self, features: Tensor) -> Tensor:
            return self.x

    head = DuelingHead(1, advantage.shape[1], num_outputs=num_atoms, hidden_size=0)
    head.value_stream, head.advantage_stream = Constant(value), Constant(advantage)  # type: ignore[assignment]
    return head


def test_dueling_subtracts_each_states_own_mean_worked_by_hand() -> None:
    value = torch.tensor([[[10.0]], [[-1.0]]])  # [B, 1, N]
    advantage = torch.tensor([[[1.0], [2.0], [6.0]], [[0.0], [0.0], [3.0]]])  # means 3 and 1
    q = dueling_head_of(value, advantage, 1)(torch.zeros(2, 1))
    assert q[:, :, 0].tolist() == [[8.0, 9.0, 13.0], [-2.0, -2.0, 1.0]]


def test_dueling_atoms_are_combined_as_logits_before_the_softmax() -> None:
    value = torch.tensor([[[1.0, 0.0]]])
    advantage = torch.tensor([[[2.0, 0.0], [0.0, 4.0]]])  # means over actions: 1 and 2 for the two atoms
    logits = dueling_head_of(value, advantage, 2)(torch.zeros(1, 1))
    assert logits.tolist() == [[[2.0, -2.0], [0.0, 2.0]]]
    head = CategoricalHead(2, 0.0, 1.0)
    expected = [1 / (1 + math.exp(4)), 1 / (1 + math.exp(-2))]  # the probability of atom 1
    assert head.values(logits)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("categorical", [False, True])
def test_shifting_all_advantages_of_a_state_leaves_q_unchanged(categorical: bool) -> None:
    network = vector_network(dueling=True, categorical=categorical)
    obs = torch.randn(4, 5, generator=seeded(0))
    before = network.q_values(network(obs))
    with torch.no_grad():
        network.head.advantage_stream.layers[-1].bias += 3.5
    torch.testing.assert_close(network.q_values(network(obs)), before, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        network.head.advantage_stream.layers[-1].bias[0] += 3.5
    assert not torch.allclose(network.q_values(network(obs)), before, atol=1e-3)


# --- noise ---


def test_two_acts_differ_in_training_mode_and_agree_in_eval_mode() -> None:
    network = vector_network(noisy=True)
    obs, generator = torch.ones(1, 5), seeded(0)
    acts = []
    for _ in range(3):
        network.resample_noise(generator)
        acts.append(network(obs))
    assert all(not torch.allclose(a, b) for a, b in pairwise(acts))
    network.eval()
    first = network(obs)
    network.resample_noise(generator)
    assert torch.equal(network(obs), first)


def test_online_and_target_draw_different_noise_from_one_generator_and_repeat_with_its_seed() -> None:
    online = vector_network(noisy=True)
    target = copy.deepcopy(online)
    obs = torch.ones(1, 5)

    def run() -> list[Tensor]:
        generator = seeded(7)
        for network in (online, target):
            network.resample_noise(generator)
        return [online(obs), target(obs)]

    first, second = run(), run()
    assert not torch.allclose(first[0], first[1])
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_resampling_without_noisy_layers_does_not_touch_the_generator() -> None:
    network, generator = vector_network(), seeded(0)
    before = generator.get_state()
    network.resample_noise(generator)
    assert torch.equal(generator.get_state(), before)


def test_checkpoints_hold_parameters_only_and_restore_the_greedy_network() -> None:
    options = {"noisy": True, "dueling": True, "categorical": True}
    network = vector_network(**options)
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}
    torch.manual_seed(99)
    other = build_network(
        observation_shape=(5,),
        observation_dtype=np.float32,
        num_actions=3,
        torso="mlp",
        hidden_sizes=(16,),
        hidden_size=8,
        num_atoms=7,
        **options,
    )
    other.load_state_dict(network.state_dict())
    obs = torch.ones(1, 5)
    assert torch.equal(other.eval()(obs), network.eval()(obs))


def test_a_copied_target_shares_no_storage() -> None:
    online = vector_network(noisy=True, categorical=True)
    target = copy.deepcopy(online)
    mine = {t.data_ptr() for t in (*online.parameters(), *online.buffers())}
    assert mine.isdisjoint(t.data_ptr() for t in (*target.parameters(), *target.buffers()))


@pytest.mark.parametrize("train", [True, False])
def test_whole_rainbow_compiles_as_one_graph_and_sees_new_noise(train: bool) -> None:
    network = pixel_network(dueling=True, noisy=True, categorical=True).train(train)
    torch.compiler.reset()  # other tests' graphs count towards the limit of recompilations
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    obs = pixels(2)
    for seed in (0, 1):
        network.resample_noise(seeded(seed))
        torch.testing.assert_close(compiled(obs), network(obs))


# --- what cannot be built says so ---


@pytest.mark.parametrize(("torso", "side"), [("nature", 36), ("small_pixels", 12), ("tiny_pixels", 3)])
def test_too_small_an_image_is_refused_and_the_least_size_works(torso: str, side: int) -> None:
    options: dict[str, Any] = {"observation_dtype": np.uint8, "num_actions": 2, "torso": torso}
    network = build_network(observation_shape=(1, side, side), **options)
    assert network(torch.zeros(1, 1, side, side, dtype=torch.uint8)).shape == (1, 2, 1)
    with pytest.raises(ConfigError, match=f"at least {side} x {side}, got {side - 1} x 90"):
        build_network(observation_shape=(1, side - 1, 90), **options)


@pytest.mark.parametrize("shape", [(96, 96, 3), (210, 160, 1), (12, 8, 4)])
def test_image_with_its_channels_last_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"\[C, H, W\].*looks like \[H, W, C\]"):
        build_network(observation_shape=shape, observation_dtype=np.uint8, num_actions=2, torso="tiny_pixels")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"torso": "natural"}, "torso must be one of data_efficient, impala, mlp, .*, got 'natural'"),
        ({"torso": "nature"}, r"images of shape \[C, H, W\] or \[H, W\], got observations of shape \(5,\)"),
        ({"observation_shape": ()}, "encode a discrete observation"),
        ({"observation_shape": (3, 0)}, r"no empty one, got \(3, 0\)"),
        ({"observation_dtype": np.dtype("U3")}, "real number type"),
        ({"observation_dtype": np.complex64}, "real number type"),
        ({"num_actions": 0}, "num_actions must be at least 1, got 0"),
        ({"hidden_size": -1}, "hidden_size must be"),
        ({"hidden_sizes": (8, 0)}, "hidden_sizes must be positive"),
        ({"noisy": True, "noisy_sigma": -1.0}, "sigma0"),
    ],
    ids=str,
)
def test_bad_configuration_is_refused_with_its_name(change: dict[str, Any], message: str) -> None:
    valid: dict[str, Any] = {
        "observation_shape": (5,),
        "observation_dtype": np.float32,
        "num_actions": 2,
        "torso": "mlp",
    }
    assert build_network(**valid)(torch.zeros(1, 5)).shape == (1, 2, 1)
    with pytest.raises(ConfigError, match=message):
        build_network(**{**valid, **change})


def test_observation_without_batch_axis_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[B, \*\(5,\)\], got \(5,\).*leading axis"):
        vector_network()(torch.zeros(5))


def test_registries_name_every_torso_and_head() -> None:
    assert set(TORSOS) == {"mlp", "nature", "small_pixels", "tiny_pixels", "data_efficient", "impala"}
    assert set(HEADS) == {"plain", "dueling"}
