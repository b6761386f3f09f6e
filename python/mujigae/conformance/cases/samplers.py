"""Ways to draw: by rank, with a uniform share, without replacement."""

from __future__ import annotations

from typing import Any

import numpy as np

from mujigae.conformance.adapter import NotOffered
from mujigae.conformance.case import Subject, case
from mujigae.conformance.cases.priorities import keys_of, require_share, set_all
from mujigae.conformance.cases.statistics import require_shares, varied
from mujigae.conformance.ledger import require

NUM_DRAWS = 32_000


@case("S1", "Schaul et al. 2016, section 3.3")
def ranks_decide_and_not_the_sizes_of_priorities(subject: Subject) -> None:
    """One TD error of a million must not take all the draws: in rank-based draws it is the first of many, and no more.
    Chi-square over 64 rows, and weights in inverse proportion to the shares."""
    ledger, _ = varied(subject, rank_based=True)
    batch = ledger.buffer.sample(512)
    largest = [at.time == 63 for at in ledger.identities(batch.obs)]
    ledger.buffer.update_priorities(np.asarray(batch.key)[largest], np.full(sum(largest), 1e6))
    rows = sorted(keys_of(ledger), key=lambda at: -at.time)
    powers = [1.0 / rank for rank in range(1, len(rows) + 1)]  # alpha 1
    shares = {at: power / sum(powers) for at, power in zip(rows, powers, strict=True)}
    require_shares(ledger.count(NUM_DRAWS), shares, "rank-based draws")
    batch = ledger.buffer.sample(512)
    product = np.asarray(batch.weight, np.float64) * [shares[at] for at in ledger.identities(batch.obs)]
    spread = float(product.max() / product.min() - 1)
    require(spread < 1e-3, f"expected weights in inverse proportion to the shares, got {spread:.3g} off")


@case("S2", "Schaul et al. 2016, algorithm 1, line 6")
def new_row_is_ranked_by_the_largest_priority_ever_given(subject: Subject) -> None:
    """A new row is ranked as if it had the largest priority so far, so it is soon seen.
    Among rows of less it is the first, also when the row of that priority has a smaller one by now."""
    ledger = subject.ledger(8, prioritized=True, rank_based=True)
    ledger.episode(4, "")
    set_all(ledger, 2.0)
    old = set(set_all(ledger, 0.5))
    ledger.episode(1, "")
    rows = set(keys_of(ledger))
    share = 1.0 / sum(1.0 / rank for rank in range(1, len(rows) + 1))  # alpha 1
    require_share(ledger, sorted(rows - old), share, "the new row")


@case("S3", "google-deepmind/dqn_zoo replay.py (uniform_sample_probability)")
def uniform_share_is_added_to_the_priorities(subject: Subject) -> None:
    """A share of the draws goes to all rows alike, so that a row of priority 0 is not forgotten.
    Chi-square over 64 rows, and weights in inverse proportion to the shares."""
    ledger, proportional = varied(subject, uniform_share=0.25)
    shares = {at: 0.75 * share + 0.25 / len(proportional) for at, share in proportional.items()}
    require_shares(ledger.count(NUM_DRAWS), shares, "draws with a uniform share")
    batch = ledger.buffer.sample(512)
    product = np.asarray(batch.weight, np.float64) * [shares[at] for at in ledger.identities(batch.obs)]
    spread = float(product.max() / product.min() - 1)
    require(spread < 1e-3, f"expected weights in inverse proportion to the shares, got {spread:.3g} off")


@case("S4", "numpy.random.Generator.choice(replace=False)")
def rows_drawn_without_replacement_are_distinct(subject: Subject) -> None:
    """No row comes twice in a batch, the first one follows the shares, and priorities are as before afterwards.
    A batch of more rows than there are is refused."""
    kinds: list[dict[str, Any]] = [{}, {"prioritized": True}, {"prioritized": True, "uniform_share": 0.5}]
    num_kinds = 0
    for options in kinds:
        try:
            ledger = subject.ledger(32, replacement=False, **options)
        except NotOffered:
            continue
        num_kinds += 1
        ledger.episode(32, "")
        for batch_size in (1, 31, 32) * 10:
            rows = ledger.identities(ledger.buffer.sample(batch_size).obs)
            require(
                len(set(rows)) == batch_size, f"expected {batch_size} distinct rows, got {len(set(rows))}"
            )
        seen = ledger.count(40 * 32, 1)
        require_shares(seen, dict.fromkeys(seen, 1 / 32), "first draws")
        _require_refused(ledger.buffer.sample, 33)
    if num_kinds == 0:
        raise NotOffered("replacement")


def _require_refused(sample: Any, batch_size: int) -> None:
    try:
        sample(batch_size)
    except Exception:
        return
    require(False, f"expected no batch of {batch_size} distinct rows, got one")
