"""A stream of unknown length, cut down on the way to as many items as a picture can hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Thinned"]

T = TypeVar("T")


class Thinned(Generic[T]):
    """Every `stride`-th item offered, from the first on; the stride doubles when there are more than `limit`."""

    def __init__(self, limit: int, stride: int = 1) -> None:
        self.items: list[T] = []
        self.stride = stride
        self._limit = limit
        self.num_offered = 0

    def offer(self, make: Callable[[], T]) -> None:
        """Takes the next item, made only if it is kept."""
        if self.num_offered % self.stride == 0:
            self.items.append(make())
            if len(self.items) > self._limit:
                self.halve()
        self.num_offered += 1

    def halve(self) -> None:
        """Drops every second item."""
        self.items = self.items[::2]
        self.stride *= 2
