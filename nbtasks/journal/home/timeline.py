"""Timeline: the latest rows of a kind, by the instant of each."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any

__all__ = ["Timeline"]

#: Rows that a timeline keeps.
_MOST = 5_000

_Values = tuple[Any, ...]


class Timeline:
    """All rows from some instant on, and some earlier ones.

    Args:
        place: Place of the instant in a row.
        key: Number of values at the beginning of a row that identify it: another row with the same
            ones replaces it.
        rows: The rows from `start_us` on.
        start_us: The instant from which on all rows are here, in epoch microseconds.
    """

    def __init__(self, place: int, key: int, rows: Iterable[_Values], start_us: int) -> None:
        self._place, self._key = place, key
        self._start_us = start_us
        self._rows: dict[_Values, _Values] = {}
        self._order: list[tuple[int, _Values]] = []
        for row in rows:
            self.add(row)

    def add(self, row: _Values) -> None:
        """Add a row, and drop the earliest one if there are too many."""
        key = row[: self._key]
        self.remove(key)
        self._rows[key] = row
        insort(self._order, (row[self._place], key))
        if len(self._order) > 2 * _MOST:
            self._drop(len(self._order) - _MOST)

    def remove(self, key: _Values) -> None:
        """Remove the row with a key, if it is here."""
        row = self._rows.pop(key, None)
        if row is not None:
            del self._order[bisect_left(self._order, (row[self._place], key))]

    def leave_out(self, row: _Values) -> None:
        """Note that a row exists that is not kept."""
        self.remove(row[: self._key])
        self._start_us = max(self._start_us, row[self._place] + 1)

    def get(self, key: _Values) -> _Values | None:
        """Return the row with a key; None if it is not here."""
        return self._rows.get(key)

    def since(self, start_us: int) -> list[_Values] | None:
        """Return all rows from an instant on; None if some may not be here."""
        if start_us < self._start_us:
            return None
        begin = bisect_left(self._order, (start_us,))
        return [self._rows[key] for _, key in self._order[begin:]]

    def _drop(self, count: int) -> None:
        for _, key in self._order[:count]:
            del self._rows[key]
        self._start_us = max(self._start_us, self._order[count - 1][0] + 1)
        del self._order[:count]
