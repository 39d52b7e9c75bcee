"""Pickles of the members of a container, each of its own, where they share no object.

A pickle of the whole keeps what the members share. Where they share nothing, each may as well be
recorded as it would be alone, so that a list of what tasks have returned refers to their records.
"""

from __future__ import annotations

import datetime as dt
import enum
import io
import pathlib
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from nbtasks.values.content import NotTaggable, Tag
from nbtasks.values.pickles import pickler

__all__ = ["tag_members"]

_PROTOCOL = 5
#: Values that are equal wherever they are one.
_CONSTANTS = (
    type(None), bool, int, float, complex, str, bytes, tuple, frozenset, range, slice, type,
    FunctionType, BuiltinFunctionType, ModuleType, enum.Enum, dt.date, dt.time, dt.timedelta,
    dt.tzinfo, Decimal, uuid.UUID, pathlib.PurePath, re.Pattern,
)  # fmt: skip


class _SharesError(Exception):
    """Two members share an object."""


def tag_members(value: Any, tag: Tag, pickled: Callable[[bytes], Any]) -> Any:
    """Return a list, a tuple or a dict as tagged JSON, in which each member stands for itself.

    Args:
        value: The container.
        tag: Function that returns a value as tagged JSON.
        pickled: Function that returns a pickle as tagged JSON.

    Returns:
        The JSON; None if the value is no such container, or members share an object.
    """
    if type(value) not in (list, tuple, dict):
        return None
    try:
        return _Members(tag, pickled).tagged(value)
    except (_SharesError, NotTaggable, RecursionError):
        return None


class _Members:
    def __init__(self, tag: Tag, pickled: Callable[[bytes], Any]) -> None:
        self._tag, self._pickled = tag, pickled
        self._objects: dict[int, Any] = {}  # kept alive, so that no id is used twice

    def tagged(self, value: Any) -> Any:
        kind = type(value)
        if kind is list or kind is tuple:
            self._claim([(id(value), value)])
            items = [self.tagged(item) for item in value]
            return items if kind is list else {"$tuple": items}
        if kind is dict:
            self._claim([(id(value), value)])
            return {"$dict": [[self._tag(key), self.tagged(item)] for key, item in value.items()]}
        try:
            result = self._tag(value)
        except NotTaggable:
            result = None
        if result is not None and (_is_constant(value) or _is_table(value)):
            self._claim([(id(value), value)])
            return result
        data, objects = _dump(value)
        self._claim(objects.items())
        return self._pickled(data) if result is None else result

    def _claim(self, found: Any) -> None:
        """Note the objects of a member.

        Raises:
            _SharesError: Another member has one of them.
        """
        new = {number: one for number, one in found if not _is_constant(one)}
        if not self._objects.keys().isdisjoint(new):
            raise _SharesError
        self._objects.update(new)


def _dump(value: Any) -> tuple[bytes, dict[int, Any]]:
    """Return the pickle of a value, and the objects in it by their ids."""
    file = io.BytesIO()
    dumping = pickler._Pickler(file, protocol=_PROTOCOL)  # noqa: SLF001 - of this package
    dumping.dump(value)
    return file.getvalue(), {number: one for number, (_, one) in dumping.memo.copy().items()}


def _is_table(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("numpy", "pandas", "polars", "pyarrow")


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return True  # its items are noted themselves
    return isinstance(value, _CONSTANTS) or type(value).__module__.startswith("numpy.dtypes")
