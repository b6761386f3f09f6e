"""Cases: named behaviours, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mujigae.conformance.adapter import Adapter, Config, NotOffered
from mujigae.conformance.ledger import Ledger

__all__ = ["CASES", "Case", "Subject", "case"]


@dataclass(frozen=True)
class Subject:
    """The buffer under examination, and a folder that a case may write into."""

    adapter: type[Adapter]
    folder: Path

    def make(self, config: Config) -> Adapter:
        """A buffer; `NotOffered` where the library lacks an option of the configuration."""
        self.needs(*sorted(config.options()))
        return self.adapter(config)

    def ledger(self, capacity: int, *, reward: Any = None, padding: str = "zeros", **options: Any) -> Ledger:
        """A buffer together with the list of what is added to it."""
        return Ledger(self.make, Config(capacity, **options), reward=reward, padding=padding)

    def needs(self, *features: str) -> None:
        """Raises `NotOffered` naming those that the library does not offer."""
        missing = [feature for feature in features if feature not in self.adapter.offers]
        if missing:
            raise NotOffered(", ".join(missing))

    def reload(self, buffer: Adapter, config: Config) -> Adapter:
        """The buffer saved and loaded again."""
        path = self.folder / "saved"
        buffer.save(path)
        return self.adapter.load(path, replace(config, seed=None))


@dataclass(frozen=True)
class Case:
    """One behaviour.

    Attributes:
        id: B1 ... B21 (defects seen in released versions), T1 ... T18 (from threads), S1 ... S4 (ways to draw),
            R1 ... R10 (rows by key, episodes, sequences); several cases may share one.
        name: what a correct buffer does.
        why: the reason, two lines.
        source: the version or the thread that it comes from.
        check: raises `Failed`, or `NotOffered`, or whatever the buffer raises.
    """

    id: str
    name: str
    why: str
    source: str
    check: Callable[[Subject], None]


CASES: list[Case] = []


def case(id: str, source: str) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Registers a function as a case: its name is the behaviour's, its docstring the reason."""

    def register(check: Callable[[Subject], None]) -> Callable[[Subject], None]:
        why = " ".join((check.__doc__ or "").split())
        CASES.append(Case(id, check.__name__, why, source, check))
        CASES.sort(key=_in_order)
        return check

    return register


def _in_order(one: Case) -> tuple[str, int, str]:
    """B1, B2, ... B14, B14b, ... R1, ... S1, ... T1, ..."""
    number = one.id[1:].rstrip("b")
    return one.id[0], int(number), one.id
