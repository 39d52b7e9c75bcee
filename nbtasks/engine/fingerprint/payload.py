"""Digest of a payload by value, which identifies a run: it is the same in every process.

Unlike the digest of a call's arguments (`arguments`) it leaves out the code of classes and of named
functions, so that editing them continues the run; and nothing of the payload is too large to count.
The order of a dict's keys and of a set's members does not count.

>>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
True
>>> digest([1]) == digest((1,))
False
"""

from __future__ import annotations

import math
from types import FunctionType, MethodType
from typing import Any, ClassVar

import orjson

from nbtasks.engine.fingerprint import introspection, tables
from nbtasks.engine.fingerprint.canonical import Walk, known_seed
from nbtasks.values import codec

__all__ = ["digest"]


def digest(payload: Any) -> str:
    """Return the digest of a payload, 16 hex digits.

    Raises:
        ValueNotKeptError: The payload is nested too deeply to be read, and cannot be recorded.
    """
    if (data := codec.to_sorted_json(payload)) is None:
        try:
            data = tables.dumps({"$object": _PayloadWalk(_unknown).canonical(payload)})
        except (RecursionError, orjson.JSONEncodeError):  # nested too deeply
            data = (codec.encode(payload, inline=True).text or "").encode()
    return tables.hashed(data)


def _unknown(value: Any) -> None:
    """Return no recorded hash: the digest does not depend on where the payload came from."""


class _PayloadWalk(Walk):
    """Walk through a payload: a class and a named function count by their names."""

    most: ClassVar[float] = math.inf

    def _by_kind(self, value: Any) -> Any:
        found = super()._by_kind(value)
        if type(value) in (tuple, frozenset):  # distinct from a list and a set
            return {f"${type(value).__name__}": found}
        return found

    def _with_class(self, cls: type, canonical: dict[str, Any]) -> dict[str, Any]:
        del cls
        return canonical

    def _code(self, value: Any) -> Any:
        kind = type(value)
        if kind is MethodType:
            return {"$method": [introspection.label(value), self.canonical(value.__self__)]}
        named = kind is FunctionType and "<" not in value.__code__.co_qualname
        if named or issubclass(kind, type):
            return {"$code": introspection.label(value)}
        return super()._code(value)

    def _seed(self, value: Any) -> Any:
        """Return the seed of a generator of random numbers; without a known one, its state."""
        return known_seed(value) or self._reduced(value)
