"""Set of keys in eight bytes each, for all runs and events of a home."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Hashable, Iterable

__all__ = ["KeySet"]

#: Keys that are added to the sorted array at once: a Python set takes ten times the memory.
_ADDED = 8_192


class KeySet:
    """Set of hashes of keys: a key that is not in it was never added.

    Args:
        keys: The first keys.
    """

    def __init__(self, keys: Iterable[Hashable] = ()) -> None:
        self._sorted = array("q", sorted(map(hash, keys)))
        self._added: set[int] = set()

    def add(self, key: Hashable) -> None:
        """Add a key."""
        self._added.add(hash(key))
        if len(self._added) > _ADDED:
            self._sorted = array("q", sorted([*self._sorted, *self._added]))
            self._added = set()

    def __contains__(self, key: Hashable) -> bool:
        number = hash(key)
        place = bisect_left(self._sorted, number)
        is_sorted = place < len(self._sorted) and self._sorted[place] == number
        return is_sorted or number in self._added

    def __len__(self) -> int:
        return len(self._sorted) + len(self._added)
