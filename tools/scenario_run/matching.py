# SPDX-License-Identifier: GPL-3.0-or-later
"""Which step takes which of the things that happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Things that happened, in their order. Each is taken by one step at most.

    One thread adds, another one takes.
    """

    def __init__(self) -> None:
        self._items: list[T] = []
        self._taken: set[int] = set()
        self._last = -1  # The index of the item that was taken last.

    def add(self, item: T) -> None:
        self._items.append(item)

    def first(
        self, fits: Callable[[T], bool], *, in_order: bool = False
    ) -> T | None:
        """The oldest item that fits and that nobody has taken. With
        `in_order`, only what came after the item that was taken last."""
        index = self._find(fits, in_order)
        return None if index is None else self._items[index]

    def take(
        self,
        fits: Callable[[T], bool],
        *,
        in_order: bool = False,
        along: Callable[[T, T], bool] = lambda taken, earlier: False,
    ) -> T | None:
        """Takes that item, and the earlier ones that go along with it."""
        index = self._find(fits, in_order)
        if index is None:
            return None
        item = self._items[index]
        self._taken.add(index)
        self._taken.update(
            number
            for number, earlier in enumerate(self._items[:index])
            if along(item, earlier)
        )
        self._last = index
        return item

    def left(self) -> list[T]:
        """What nobody has taken."""
        return [
            item
            for index, item in enumerate(list(self._items))
            if index not in self._taken
        ]

    def _find(self, fits: Callable[[T], bool], in_order: bool) -> int | None:
        start = self._last + 1 if in_order else 0
        for index in range(start, len(self._items)):
            if index not in self._taken and fits(self._items[index]):
                return index
        return None
