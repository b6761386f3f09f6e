"""What is drawn how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mujigae.conformance.case import Subject, case
from mujigae.conformance.cases.priorities import SIGMAS, keys_of, set_all
from mujigae.conformance.ledger import Identity, Ledger, require


def require_shares(seen: Mapping[Identity, int], shares: Mapping[Identity, float], what: str) -> None:
    """Pearson's chi-square; with k degrees of freedom its mean is k and its variance 2 k."""
    num_rows = sum(seen.values())
    expected = np.array([share * num_rows for share in shares.values()])
    got = np.array([seen.get(at, 0) for at in shares], np.float64)
    statistic = float(((got - expected) ** 2 / expected).sum())
    freedom = len(expected) - 1
    limit = freedom + SIGMAS * (2 * freedom) ** 0.5 + SIGMAS**2
    require(
        statistic <= limit, f"expected a chi-square of {what} of at most {limit:.0f}, got {statistic:.0f}"
    )


def varied(subject: Subject, **options: Any) -> tuple[Ledger, dict[Identity, float]]:
    """64 rows of priorities 1 ... 64, and the share of each."""
    ledger = subject.ledger(64, prioritized=True, **options)
    ledger.episode(64, "")
    keys = keys_of(ledger)
    require(len(keys) >= 62, f"expected 64 rows to be drawn, got {len(keys)}")
    values = {at: 1.0 + at.time for at in keys}
    ledger.buffer.update_priorities(np.array(list(keys.values())), np.array([values[at] for at in keys]))
    total = sum(values.values())
    return ledger, {at: value / total for at, value in values.items()}


@case("T16", "pfnet/pfrl")
def uniform_draws_are_uniform(subject: Subject) -> None:
    """Every row is as likely as any other, whatever its place in the ring.
    Chi-square over 64 rows of a ring that has wrapped."""
    ledger = subject.ledger(64)
    ledger.episode(100, "")
    seen = ledger.count(32_000)
    require_shares(seen, dict.fromkeys(seen, 1 / len(seen)), "uniform draws")
    require(len(seen) >= 62, f"expected 64 rows to be drawn, got {len(seen)}")


@case("T16", "pfnet/pfrl")
def draws_are_in_proportion_to_the_priorities(subject: Subject) -> None:
    """With alpha 1, a row of twice the priority is drawn twice as often.
    Chi-square over 64 rows of priorities 1 to 64."""
    ledger, shares = varied(subject)
    require_shares(ledger.count(32_000), shares, "proportional draws")


@case("T16", "pfnet/pfrl")
def weights_are_those_of_the_draws(subject: Subject) -> None:
    """Importance weights undo the priorities only if they belong to the probabilities of the draws.
    With beta 1, weight times share is the same for every row."""
    ledger, shares = varied(subject)
    batch = ledger.buffer.sample(512)
    product = np.asarray(batch.weight, np.float64).reshape(-1) * [
        shares[at] for at in ledger.identities(batch.obs)
    ]
    spread = float(product.max() / product.min() - 1)
    require(spread < 1e-3, f"expected weights in inverse proportion to the shares, got {spread:.3g} off")


@case("T16", "Schaul et al. 2016, appendix B.2.1")
def stratified_draws_vary_less_than_independent_ones(subject: Subject) -> None:
    """One draw from each of B equal slices of the total covers the priorities evenly.
    With as many slices as equal rows every row comes once."""
    ledger = subject.ledger(32, prioritized=True, stratified=True)
    ledger.episode(32, "")
    set_all(ledger, 1.0)
    for _ in range(20):
        seen = ledger.count(32, 32)
        require(max(seen.values()) <= 2, f"expected no row more than twice, got {seen.most_common(1)}")
        require(len(seen) >= 30, f"expected about every row once, got {len(seen)} of 32")


@case("T3", "google/dopamine; Schaul et al. 2016")
def partly_filled_buffer_gives_no_unwritten_row(subject: Subject) -> None:
    """The last slices of the total end where the rows end, not where the tree does.
    Rounding must not carry a draw into slots that were never written."""
    stratified = "stratified" in subject.adapter.offers
    ledger = subject.ledger(100, prioritized=True, stratified=stratified)
    ledger.episode(37, "")
    ledger.draw(4000)


@case("T4", "ray-project/ray#7180")
def equal_weights_never_run_over_the_end(subject: Subject) -> None:
    """4,096 rows of priority 0.5, drawn 100,000 times: the largest target is as close to the total as it gets.
    An index past the last row is an IndexError after days."""
    ledger = subject.ledger(4096, prioritized=True)
    ledger.extend(4096)
    set_all(ledger, 0.5)
    seen = ledger.count(100_000)
    require(sum(seen.values()) >= 100_000, "expected every draw to be a row")


@case("B18", "cpprb 11.0.0 (float32 sums)")
def rows_beside_an_outlier_can_all_be_drawn(subject: Subject) -> None:
    """Beside one priority of 2^25, sums in float32 have steps of 4: of 8,192 rows of priority 1 only each fourth is reached.
    What is drawn of them is spread evenly over the remainders modulo 4."""
    ledger = subject.ledger(8192, prioritized=True)
    ledger.extend(8192)
    batch = ledger.buffer.sample(1)
    ledger.buffer.update_priorities(batch.key, np.array([2.0**25]))
    (outlier,) = ledger.identities(batch.obs)
    rest = {at: count for at, count in ledger.count(200_000).items() if at != outlier}
    num_rare = sum(rest.values())
    require(15 <= num_rare <= 100, f"expected about 49 draws of other rows, got {num_rare}")
    remainders: Counter[Identity] = Counter()
    for at, count in rest.items():
        remainders[Identity(0, 0, (at.time - outlier.time) % 4)] += count
    require_shares(remainders, {Identity(0, 0, i): 0.25 for i in range(4)}, "remainders modulo 4")


@case("B14", "tianshou 2.0.1")
def environments_are_drawn_independently(subject: Subject) -> None:
    """Sub-buffers with a generator each, all of one seed, draw the same times in every environment.
    A batch is then a few moments seen several times."""
    options: dict[str, Any] = {"seed": 3} if "seed" in subject.adapter.offers else {}
    ledger = subject.ledger(400, num_envs=4, **options)
    ledger.episode(100, "")
    same = num_pairs = 0
    for _ in range(10):
        times = _times_by_env(ledger, ledger.identities(ledger.buffer.sample(400).obs))
        for other in times[1:]:
            num = min(len(times[0]), len(other))
            same += sum(a == b for a, b in zip(times[0], other, strict=False))
            num_pairs += num
    expected = num_pairs / 100
    limit = expected + SIGMAS * expected**0.5 + SIGMAS
    require(
        same <= limit,
        f"expected about {expected:.0f} of {num_pairs} draws alike in two environments, got {same}",
    )


def _times_by_env(ledger: Ledger, rows: Sequence[Identity]) -> list[list[int]]:
    return [[at.time for at in rows if at.env == e] for e in range(ledger.config.num_envs)]
