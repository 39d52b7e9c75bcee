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

import functools
import math
from types import FunctionType, MethodType, ModuleType
from typing import Any, ClassVar, Final

import orjson

from nbtasks.core.parameters import unwrapped
from nbtasks.engine.fingerprint import introspection, tables
from nbtasks.engine.fingerprint.canonical import CODE, Walk
from nbtasks.engine.fingerprint.watch import cell_contents
from nbtasks.values import codec

__all__ = ["digest"]

_DECORATORS: Final = (FunctionType, type(functools.lru_cache(len)))
_MOST_DECORATORS: Final = 100


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
    ordered: ClassVar[tuple[type, ...]] = ()  # which may be that of a set, and so by chance

    def _with_class(self, cls: type, canonical: dict[str, Any]) -> dict[str, Any]:
        del cls
        return canonical

    def _code(self, value: Any) -> Any:
        kind = type(value)
        if kind is MethodType:
            return {"$method": [self._code(value.__func__), self.canonical(value.__self__)]}
        if issubclass(kind, type):
            return {"$code": introspection.label(value)}
        if issubclass(kind, ModuleType):
            return {"$module": value.__name__}
        if (named := self._named_function(value)) is not None:
            return {"$code": named}
        return super()._code(value)

    def _named_function(self, value: Any) -> Any:
        """Return the name of the function that a callable is or decorates, with what its decorators
        were given; None if there is none."""
        given: list[Any] = []
        for _ in range(_MOST_DECORATORS):
            value, decorated = unwrapped(value), value
            if value is decorated:
                is_decorator = type(value) in _DECORATORS or _is_job(value)
                inner = introspection.inner_callable(value) if is_decorator else None
                if inner is None:
                    break
                given += self._given(value)
                value = inner
        if type(value) is not FunctionType or "<" in value.__code__.co_qualname:
            return None
        name = introspection.label(value)
        return [name, given] if given else name

    def _given(self, decorated: Any) -> list[Any]:
        """Return the constants and the callables that a decorator keeps beside its function, or the
        id of a job."""
        if _is_job(decorated):
            return [decorated.id]
        cells = getattr(decorated, "__closure__", None) or ()
        inner = introspection.inner_callable(decorated)
        values = [value for value in map(cell_contents, cells) if value is not inner]
        constants = [
            self.canonical(each) if issubclass(type(each), CODE) else introspection.constant(each)
            for each in values
        ]
        return [each for each in constants if each is not None]

    def _seed(self, value: Any) -> Any:
        """Return the seed of a generator of random numbers; without a known one, its state."""
        return introspection.known_seed(value) or self._reduced(value)


def _is_job(value: Any) -> bool:
    return type(value).__module__ == "nbtasks.jobs.definition.job"
