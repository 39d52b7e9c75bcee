"""Knowledge of live objects: their digests, and the fields that do not count any more."""

from __future__ import annotations

import contextlib
import functools
import weakref
from typing import Any, NamedTuple, Protocol

__all__ = ["DigestCache", "Entry", "Guard", "lazy_fields", "mark_lazy"]


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


# -- fields that are filled later -----------------------------------------------------------------

#: Private fields that a task filled, by the id of their object.
_lazy: dict[int, tuple[weakref.ref[Any], frozenset[str]]] = {}


def mark_lazy(fields: list[tuple[Any, frozenset[str]]]) -> None:
    """Note fields that were empty when their task began: what they hold now saves time only."""
    for value, names in fields:
        key = id(value)
        with contextlib.suppress(TypeError):  # no weak references
            reference = weakref.ref(value, functools.partial(_forget_fields, key))
            _lazy[key] = reference, names | lazy_fields(value)


def lazy_fields(value: Any) -> frozenset[str]:
    """Return the fields of an object that were empty when a task began, and do not count."""
    known = _lazy.get(id(value))
    return known[1] if known is not None and known[0]() is value else frozenset()


def _forget_fields(key: int, reference: weakref.ref[Any]) -> None:
    if (known := _lazy.get(key)) is not None and known[0] is reference:
        del _lazy[key]
