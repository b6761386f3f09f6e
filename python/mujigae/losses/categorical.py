"""The categorical loss of distributional Q-learning (Bellemare et al. 2017).

The return is a distribution over fixed atoms z_0 < ... < z_{N-1}. The target network's distribution at the
greedy action is moved to r + discount * z, projected back onto the atoms, and compared with the online one
by cross-entropy. With double selection (Hessel et al. 2018) the greedy action is the argmax of the online
network's expected values.

All arithmetic is float32, also when a network under autocast hands in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mujigae.losses.contract import RowLosses, check_arguments, of_action

__all__ = ["cross_entropy", "project", "support_covers"]


def project(probabilities: Tensor, reward: Tensor, discount: Tensor, support: Tensor) -> Tensor:
    """Distribution of reward + discount * Z, projected onto the support (Bellemare et al. 2017, equation 7).

    probabilities: [B, N], of Z over the atoms. reward, discount: [B]. support: [N], evenly spaced, ascending.
    Returns float32 [B, N]. Each moved atom is clipped to the support and shares its mass between its two
    neighbours in proportion to nearness; one that falls on an atom keeps all its mass there. Mass is kept,
    and so is the mean wherever nothing is clipped.

    Written as a sum over all pairs of atoms: unlike a scatter it adds in a fixed order on a GPU, has no
    special case for whole numbers, and fuses under torch.compile; at 51 atoms the N^2 work is small.
    """
    _check_projection(probabilities, reward, discount, support)
    num_atoms = support.shape[0]
    support = support.float()
    spacing = (support[-1] - support[0]) / (num_atoms - 1)
    moved = reward.float()[:, None] + discount.float()[:, None] * support  # [B, N]
    position = ((moved - support[0]) / spacing).clamp(0, num_atoms - 1)  # [B, N], in units of atoms
    atoms = torch.arange(num_atoms, device=support.device, dtype=torch.float32)
    share = (1 - (position[:, None, :] - atoms[:, None]).abs()).clamp(min=0)  # [B, N to, N from]
    return (share * probabilities.float()[:, None, :]).sum(dim=-1)


def cross_entropy(
    output: Tensor,
    target_output: Tensor,
    selector_q: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
    support: Tensor,
) -> RowLosses:
    """-sum_i m_i log p_i(s, a), with m the projected target distribution and p the online one.

    Arguments as in `contract.Loss`, logits [B, A, N], and the atoms `support` [N]. The logarithm is a
    log_softmax, which keeps a gradient at any logit; a logarithm of clamped probabilities has none below
    the clamp.

    The priority is the cross-entropy itself. Hessel et al. 2018 give the KL divergence as the priority, which is the
    cross-entropy less the entropy of the target: the gradient is the same, the ranking is not. Here one
    number is minimised and ranks the rows, as when |td| is; rows with a spread-out return therefore never
    sink to priority 0.

    Raises ValueError for a wrong shape, TypeError for actions that are no integers.
    """
    check_arguments(output, target_output, selector_q, action, reward, discount, axes="BAN")
    with torch.no_grad():
        next_logits = of_action(target_output, selector_q.argmax(dim=1)).float()
        target = project(next_logits.softmax(dim=-1), reward, discount, support)  # [B, N]
    log_probabilities = of_action(output, action).float().log_softmax(dim=-1)  # [B, N]
    loss = -(target * log_probabilities).sum(dim=-1)
    return RowLosses(loss, loss.detach(), (target * support.float()).sum(dim=-1))


def support_covers(v_min: float, v_max: float, *, reward_min: float, reward_max: float, gamma: float) -> bool:
    """Whether the support holds every discounted return of rewards in [reward_min, reward_max].

    Returns beyond the support are counted as its edge, and actions that differ only there look alike. The
    +-10 of Bellemare et al. 2017 does not cover rewards of +-1 at gamma 0.99 (+-100), which Atari games
    tolerate: their rewards are sparse. A task with a reward at every step, such as CartPole, needs a
    support that covers.
    """
    if not 0 <= gamma < 1:
        return False  # the sum has no bound
    longest = 1 / (1 - gamma)
    lowest, highest = min(reward_min, reward_min * longest), max(reward_max, reward_max * longest)
    slack = 1e-9 * (v_max - v_min)  # 1 / (1 - 0.9) is a little more than 10
    return v_min - slack <= lowest and highest <= v_max + slack


def _check_projection(probabilities: Tensor, reward: Tensor, discount: Tensor, support: Tensor) -> None:
    if support.dim() != 1 or support.shape[0] < 2:
        raise ValueError(f"support must have shape [N] with at least 2 atoms, got {tuple(support.shape)}")
    expected = (reward.shape[0] if reward.dim() == 1 else -1, support.shape[0])
    if tuple(probabilities.shape) != expected:
        raise ValueError(
            f"probabilities must have shape [B, {support.shape[0]}] and reward [B], "
            f"got {tuple(probabilities.shape)} and {tuple(reward.shape)}"
        )
    if reward.shape != discount.shape:
        raise ValueError(
            f"discount must have the shape of reward {tuple(reward.shape)}, got {tuple(discount.shape)}"
        )
