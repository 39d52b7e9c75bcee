"""Members of data that are code: functions in tables, lists and registries, or held by objects."""

from __future__ import annotations

import abc
import collections
import functools
import itertools
from collections.abc import Callable, Iterable
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

from nbtasks.core.parameters import definition_of
from nbtasks.engine.fingerprint import introspection, user_code
from nbtasks.engine.fingerprint.watch import cell_contents

__all__ = ["Holder", "Snapshot", "is_code", "is_container", "is_plain", "may_hold_code", "of"]

_MOST = 1000
_MOST_LOOKED_AT = 100
_SEQUENCES = (list, tuple, set, frozenset, collections.deque)
_MAPPINGS = (dict, MappingProxyType, collections.OrderedDict, collections.defaultdict)
_CODE = (FunctionType, MethodType, type, functools.partial, type(len), type(str.upper))
_CODE_TYPES = frozenset([*_CODE, abc.ABCMeta, *_SEQUENCES, *_MAPPINGS])
_CONSTANTS = frozenset([int, float, str, bool, type(None)])


def is_code(value: Any) -> bool:
    """Return True for a function, a class, or a callable that is written in C."""
    return issubclass(type(value), _CODE) or introspection.builtin_callable(value) is not None


def may_hold_code(value: Any) -> bool:
    """Return True for data that may hold functions: a container, or an object of such a kind."""
    kind = type(value)
    if is_container(value):
        return True
    if kind is FunctionType:  # of a library, such as what `singledispatch` makes
        is_library = bool(value.__closure__) and not user_code.is_users_function(value)
        return is_library and definition_of(value) is None
    if issubclass(kind, (*_CODE, ModuleType)) or kind.__module__.startswith("nbtasks."):
        return False
    return bool(introspection.attributes(value)) and (
        user_code.is_users_class(kind) or callable(value) or kind.__module__ == "functools"
    )


def is_container(value: Any) -> bool:
    """Return True for a list, a dict, or another container of Python's own."""
    return type(value) in _SEQUENCES or type(value) in _MAPPINGS


def of(value: Any) -> list[tuple[str, Any]]:
    """Return the members of such data, each with its name, in an order that is always the same."""
    kind = type(value)
    if kind in _MAPPINGS:
        pairs = [(_name(key), member) for key, member in itertools.islice(value.items(), _MOST)]
        return sorted(pairs, key=lambda pair: pair[0])
    if kind in _SEQUENCES:
        members = [(str(n), member) for n, member in enumerate(itertools.islice(value, _MOST))]
        if kind is list:  # the class of an error that a task has collected is data
            members = [pair for pair in members if not _is_error_class(pair[1])]
        if kind in (set, frozenset):
            members = [("", member) for _, member in members]
            members.sort(key=lambda pair: introspection.label(pair[1]))
        return members
    return sorted(zip(*_fields(value), strict=True), key=lambda pair: pair[0])


def _is_error_class(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _fields(value: Any) -> tuple[Iterable[str], Iterable[Any]]:
    if type(value) is FunctionType:
        return value.__code__.co_freevars, map(cell_contents, value.__closure__ or ())
    own = introspection.attributes(value)
    return list(map(str, own)), list(own.values())


def _name(key: Any) -> str:
    return introspection.constant(key) or introspection.label(key)


def is_plain(value: Any) -> bool:
    """Return True if data holds neither code nor more data, as far as a quick look tells."""
    return _CODE_TYPES.isdisjoint(map(type, itertools.islice(_list(value), _MOST_LOOKED_AT)))


def _list(value: Any) -> Iterable[Any]:
    kind = type(value)
    if kind in _MAPPINGS:
        return itertools.chain(value.values(), value.keys())
    if kind in _SEQUENCES:
        members: Iterable[Any] = value
        return members
    return _fields(value)[1]


class Holder:
    """Holder of data that may hold code: a variable.

    Args:
        get: Function that returns the value of the variable.
        value: The data.
        has_code: Whether it holds code, so that a snapshot of it exists.
    """

    __slots__ = ("_get", "_has_code", "_id")

    def __init__(self, get: Callable[[], Any], value: Any, *, has_code: bool) -> None:
        self._get, self._id, self._has_code = get, id(value), has_code

    def holds(self) -> bool:
        """Return True if the variable holds the same data, or other data without code."""
        value = self._get()
        if id(value) == self._id:
            return self._has_code or is_plain(value)
        return not self._has_code and may_hold_code(value) and is_plain(value)


class Snapshot:
    """Snapshot of the members of data that holds code, to notice another one.

    Args:
        value: The data.
    """

    __slots__ = ("_members", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value
        self._members = self._read()

    def holds(self) -> bool:
        """Return True if the members are the same: by identity, data among them by its type."""
        now = self._read()
        return len(now) == len(self._members) and all(
            one is other for one, other in zip(now, self._members, strict=True)
        )

    def _read(self) -> list[Any]:
        return [
            member
            if type(member) in _CONSTANTS or issubclass(type(member), _CODE)
            else type(member)
            for member in itertools.islice(_list(self._value), _MOST)
        ]
