"""Cache of the digests of live objects."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple, Protocol

__all__ = ["DigestCache", "Entry", "Guard"]


class Guard(Protocol):
    """Check that an object is unchanged."""

    def holds(self, value: Any) -> bool:
        """Return True if a value is unchanged."""


class Entry(NamedTuple):
    """Digest of an object, as long as its guard holds.

    Attributes:
        reference: Reference to the object.
        digest: Its digest.
        guard: Check that the object is unchanged.
        has_content: Whether the object counts by its content as well.
    """

    reference: weakref.ref[Any]
    digest: str
    guard: Guard
    has_content: bool = False


class DigestCache:
    """Cache of the digests of live objects, by identity.

    An entry ends with its object, and counts no longer once the object has changed.
    """

    def __init__(self) -> None:
        self._digests: dict[int, Entry] = {}

    def put(self, value: Any, digest: str, guard: Guard) -> None:
        """Add the digest of an object, if a weak reference to it can be made."""
        key = id(value)
        try:
            reference = weakref.ref(value, lambda gone: self._forget(key, gone))
        except TypeError:
            return
        self._digests[key] = Entry(reference, digest, guard)

    def count_content(self, value: Any) -> None:
        """Let an object that is here count by its content as well."""
        entry = self._digests.get(id(value))
        if entry is not None and entry.reference() is value:
            self._digests[id(value)] = entry._replace(has_content=True)

    def get(self, value: Any) -> Entry | None:
        """Return the entry of an object; None if it has none, or has changed."""
        entry = self._digests.get(id(value))
        if entry is None or entry.reference() is not value:
            return None
        if not entry.guard.holds(value):
            self._digests.pop(id(value), None)
            return None
        return entry

    def _forget(self, key: int, reference: weakref.ref[Any]) -> None:
        if (entry := self._digests.get(key)) is not None and entry.reference is reference:
            del self._digests[key]
