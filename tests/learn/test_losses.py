from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from mujigae.losses import RowLosses, cross_entropy, huber, squared, td_target

SUPPORT = torch.linspace(-2, 2, 4)
LOSSES = {"huber": huber, "squared": squared, "cross_entropy": partial(cross_entropy, support=SUPPORT)}


def td_arguments() -> dict[str, Tensor]:
    """Two rows: one that bootstraps with the action that the selector prefers, one that ended."""
    return {
        "output": torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, 0.0]], requires_grad=True),
        "target_output": torch.tensor([[10.0, 4.0, 20.0], [7.0, 8.0, 9.0]], requires_grad=True),
        "selector_q": torch.tensor([[0.0, 5.0, 1.0], [9.0, 8.0, 7.0]], requires_grad=True),
        "action": torch.tensor([2, 0]),
        "reward": torch.tensor([1.0, 0.25]),
        "discount": torch.tensor([0.5, 0.0]),
    }


# Row 0: the selector takes action 1, the target network says 4: target 1 + 0.5 * 4 = 3, Q = 3: error 0.
# Row 1: terminal: target 0.25, Q = 0.5: error -0.25.


def test_target_selects_with_the_selector_and_values_with_the_target_network() -> None:
    a = td_arguments()
    target = td_target(a["target_output"], a["selector_q"], a["reward"], a["discount"])
    assert target.tolist() == [3.0, 0.25]  # the target network's own argmax would give 1 + 0.5 * 20 = 11
    plain = td_target(a["target_output"], a["target_output"], a["reward"], a["discount"])
    assert plain.tolist() == [11.0, 0.25]


@pytest.mark.parametrize("loss_fn", [huber, squared])
def test_small_errors_give_half_the_square(loss_fn) -> None:
    out = loss_fn(**td_arguments())
    torch.testing.assert_close(out.loss, torch.tensor([0.0, 0.03125]))
    assert out.priority.tolist() == [0.0, 0.25]


@pytest.mark.parametrize(
    ("loss_fn", "loss", "gradient"),
    [(huber, [4.5, 0.125, 2.5], [-1.0, 0.5, 1.0]), (squared, [12.5, 0.125, 4.5], [-5.0, 0.5, 3.0])],
)
def test_huber_clips_the_gradient_and_never_the_loss(loss_fn, loss, gradient) -> None:
    # TD errors 5, -0.5 and -3 on a single action, without bootstrap.
    q = torch.tensor([[0.0], [0.5], [3.0]], requires_grad=True)
    zeros = torch.zeros(3)
    out = loss_fn(q, torch.zeros(3, 1), torch.zeros(3, 1), zeros.long(), torch.tensor([5.0, 0, 0]), zeros)
    torch.testing.assert_close(out.loss, torch.tensor(loss))
    assert out.priority.tolist() == [5.0, 0.5, 3.0]
    out.loss.sum().backward()
    torch.testing.assert_close(q.grad, torch.tensor(gradient)[:, None])


@pytest.mark.parametrize("loss_fn", [huber, squared])
def test_gradient_reaches_the_taken_action_of_output_alone(loss_fn) -> None:
    a = td_arguments()
    loss_fn(**a).loss.sum().backward()
    torch.testing.assert_close(a["output"].grad, torch.tensor([[0.0, 0, 0], [0.25, 0, 0]]))
    assert a["target_output"].grad is None
    assert a["selector_q"].grad is None


def random_arguments(name: str, batch_size: int = 5) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(0)
    shape = (batch_size, 3, 4) if name == "cross_entropy" else (batch_size, 3)
    return {
        "output": torch.randn(shape, generator=g).requires_grad_(),
        "target_output": torch.randn(shape, generator=g).requires_grad_(),
        "selector_q": torch.randn(batch_size, 3, generator=g).requires_grad_(),
        "action": torch.randint(3, (batch_size,), generator=g),
        "reward": torch.randn(batch_size, generator=g),
        "discount": torch.rand(batch_size, generator=g),
    }


@pytest.mark.parametrize("name", sorted(LOSSES))
class TestEveryLoss:
    def test_weighted_mean_of_rows_equals_rows_taken_alone(self, name: str) -> None:
        a = random_arguments(name)
        out = LOSSES[name](**a)
        assert isinstance(out, RowLosses)
        assert out.loss.shape == out.priority.shape == (5,)
        alone = [LOSSES[name](**{k: v[i : i + 1] for k, v in a.items()}) for i in range(5)]
        torch.testing.assert_close(out.loss, torch.cat([o.loss for o in alone]))
        torch.testing.assert_close(out.priority, torch.cat([o.priority for o in alone]))
        weight = torch.tensor([1.0, 0.5, 0.25, 0.75, 0.1])
        by_hand = sum(w * o.loss.item() for w, o in zip(weight.tolist(), alone, strict=True)) / 5
        assert (weight * out.loss).mean().item() == pytest.approx(by_hand, rel=1e-5)

    def test_priority_is_detached_and_targets_get_no_gradient(self, name: str) -> None:
        a = random_arguments(name)
        out = LOSSES[name](**a)
        assert not out.priority.requires_grad
        assert (out.priority > 0).all()
        out.loss.sum().backward()
        assert a["output"].grad.abs().sum() > 0
        assert a["target_output"].grad is None
        assert a["selector_q"].grad is None

    def test_bfloat16_outputs_are_computed_in_float32(self, name: str) -> None:
        a = random_arguments(name)
        low = {k: a[k].detach().to(torch.bfloat16) for k in ("output", "target_output", "selector_q")}
        exact = LOSSES[name](**{**a, **{k: v.float() for k, v in low.items()}})
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = LOSSES[name](**{**a, **low})
        assert out.loss.dtype == out.priority.dtype == torch.float32
        torch.testing.assert_close(out.loss, exact.loss)
        torch.testing.assert_close(out.priority, exact.priority)

    @pytest.mark.parametrize("argument", ["target_output", "selector_q", "action", "reward", "discount"])
    def test_wrong_shape_is_named(self, name: str, argument: str) -> None:
        a = random_arguments(name)
        a[argument] = a[argument][:, None]
        with pytest.raises(ValueError, match=rf"^{argument} must have shape \(5.*got \(5, 1"):
            LOSSES[name](**a)

    def test_output_of_wrong_rank_is_named(self, name: str) -> None:
        a = random_arguments(name)
        a["output"] = a["output"][0]
        with pytest.raises(ValueError, match=r"^output must have shape \[B, A"):
            LOSSES[name](**a)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
    def test_actions_that_are_no_integers_are_refused(self, name: str, dtype: torch.dtype) -> None:
        a = random_arguments(name)
        a["action"] = a["action"].to(dtype)
        with pytest.raises(TypeError, match="action must be integers"):
            LOSSES[name](**a)

    def test_any_integer_type_of_action_gives_the_same_loss(self, name: str) -> None:
        a = random_arguments(name)
        wide = LOSSES[name](**a).loss
        for dtype in (torch.int8, torch.int32, torch.uint8):
            assert torch.equal(LOSSES[name](**{**a, "action": a["action"].to(dtype)}).loss, wide)

    def test_compiles_as_one_graph(self, name: str) -> None:
        a = random_arguments(name)
        torch.compiler.reset()  # other tests' graphs count towards the limit of recompilations
        compiled = torch.compile(LOSSES[name], backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(**a).loss, LOSSES[name](**a).loss)


def learned_value(discount_at_time_limit: float) -> float:
    """Q of a one-state task with reward 1, gamma 0.9 and a time limit at step 5, at learning rate 1."""
    q = torch.zeros(1, 1)
    discount = torch.tensor([0.9, 0.9, 0.9, 0.9, discount_at_time_limit])
    for _ in range(400):
        online = q.expand(5, 1).clone().requires_grad_()
        target = q.expand(5, 1)
        squared(online, target, target, torch.zeros(5).long(), torch.ones(5), discount).loss.mean().backward()
        q = q - online.grad.sum()
    return q.item()


def test_truncated_episode_bootstraps_to_the_endless_value() -> None:
    assert learned_value(discount_at_time_limit=0.9) == pytest.approx(1 / (1 - 0.9), rel=1e-4)


def test_terminal_step_does_not_bootstrap() -> None:
    # One aliased state: 4 of 5 steps go on, q = 1 + 0.9 * 4/5 * q.
    assert learned_value(discount_at_time_limit=0.0) == pytest.approx(1 / (1 - 0.72), rel=1e-4)
