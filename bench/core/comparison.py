"""What one source tree of mujigae costs beside another, out of the rows of one run."""

from __future__ import annotations

from typing import Any, NamedTuple

AGAINST = ", against"  # what the name of a subject ends with when it is the same from the other tree
SLOWER = 1.05  # how many times the other tree's time a row may take
MORE_THAN_EXACT = 1.2  # how many times the time of a plain `add` one with env_ids or with a dict may take

Row = dict[str, Any]


class Comparison(NamedTuple):
    """One row, and how many times the other's time it took."""

    what: str
    seconds: float
    other_seconds: float
    limit: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.other_seconds

    def __str__(self) -> str:
        verdict = "ok" if self.ratio <= self.limit else f"above {self.limit:g}"
        micro = f"{self.seconds * 1e6:10,.2f} us, {self.other_seconds * 1e6:10,.2f} us"
        return f"{self.what:60} {micro}  {self.ratio:.3f}  {verdict}"


def against(rows: list[Row]) -> list[Comparison]:
    """Every row that both trees have."""
    found = _seconds(rows)
    return [
        Comparison(_named(*key), seconds, found[(*key[:3], key[3] + AGAINST)], SLOWER)
        for key, seconds in found.items()
        if (*key[:3], key[3] + AGAINST) in found
    ]


def beside_exact_adds(rows: list[Row]) -> list[Comparison]:
    """Steps added with env_ids, and with dict observations, beside the same steps without."""
    found = _seconds(rows)
    compared = []
    for key, seconds in found.items():
        kind, _, num_envs = key[0].rpartition(" ")
        plain = (f"add {num_envs}", *key[1:])
        if kind in ("add env_ids", "add dict") and plain in found:
            compared.append(Comparison(_named(*key), seconds, found[plain], MORE_THAN_EXACT))
    return compared


def _seconds(rows: list[Row]) -> dict[tuple[Any, ...], float]:
    """Of those that were measured, by group, operation, batch size and subject."""
    names = ("group", "operation", "batch_size", "subject")
    return {tuple(row[name] for name in names): row["seconds"] for row in rows if "seconds" in row}


def _named(group: str, operation: str, batch_size: int, subject: str) -> str:
    return f"{group}, {operation} {batch_size}, {subject}"
