"""Changes in place: an object is given the content of another one of its type."""

from __future__ import annotations

import functools
import io
import struct
from array import array
from collections import defaultdict, deque
from random import Random
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    SimpleNamespace,
)
from typing import Any, Final

from nbtasks.engine.fingerprint import introspection, user_code
from nbtasks.notebook.objects import library_objects, positions
from nbtasks.notebook.objects.members import CONTAINERS

__all__ = ["can_fill", "fill"]

#: Types of objects that stay what they are, while what they hold is filled.
_CALLABLES: Final = (
    FunctionType, MethodType, BuiltinFunctionType, functools.partial, MappingProxyType,
)  # fmt: skip
_IN_MEMORY: Final = (io.BytesIO, io.StringIO)
_CHANGEABLE: Final = (list, dict, set, deque, bytearray)


def can_fill(old: Any, new: Any) -> bool:
    """Return True if an object can be given the content of another one."""
    kind = type(old)
    if kind is not type(new):
        return False
    if kind in _CALLABLES:
        return bool(_name(old) == _name(new))
    if positions.describe(old) is not None or isinstance(old, _IN_MEMORY):
        return True
    if kind is array:
        return bool(old.typecode == new.typecode)
    if library_objects.is_one(old):
        return library_objects.can_fill(old, new)
    return kind in _CHANGEABLE or issubclass(kind, Random) or _is_of_python(kind)


def _name(value: Any) -> Any:
    if isinstance(value, functools.partial):
        return _name(value.func)
    return getattr(value, "__qualname__", None)


def fill(old: Any, new: Any) -> bool:
    """Give an object the content of another one of its type; return False if that cannot be."""
    if old is new:
        return True
    if not can_fill(old, new):
        return False
    try:
        _fill(old, new)
    except Exception:  # noqa: BLE001 - an odd object is bound anew instead
        return False
    return True


def _fill(old: Any, new: Any) -> None:
    kind = type(old)
    if kind in _CALLABLES:
        _fill_callable(old, new)
    elif (position := positions.read(new)) is not None:
        positions.move(old, position)
    elif isinstance(old, _IN_MEMORY):
        _fill_in_memory(old, new)
    elif isinstance(old, Random):
        old.setstate(new.getstate())
    elif kind is array:
        old[:] = new
    elif library_objects.is_one(old):
        library_objects.fill(old, new)
    else:
        _fill_container(old, new)
        _fill_attributes(old, new)


def _fill_in_memory(old: Any, new: Any) -> None:
    old.__setstate__(new.__getstate__())


def _fill_callable(old: Any, new: Any) -> None:
    if type(old) is functools.partial:
        old.__setstate__(new.__reduce__()[2])  # type: ignore[attr-defined]  # of every partial
    if type(old) is not FunctionType:
        return
    for name in ("__defaults__", "__kwdefaults__", "__dict__"):
        setattr(old, name, getattr(new, name))
    for cell, other in zip(old.__closure__ or (), new.__closure__ or (), strict=True):
        if cell is not other:
            _fill_cell(cell, other)


def _fill_cell(cell: Any, other: Any) -> None:
    try:
        cell.cell_contents = other.cell_contents
    except ValueError:  # it is empty
        del cell.cell_contents


def _fill_container(old: Any, new: Any) -> None:
    """Set the items, by methods that a class of the user's has not changed."""
    if isinstance(old, list | bytearray):
        base: Any = list if isinstance(old, list) else bytearray
        base.__setitem__(old, slice(None), base(new))
    elif isinstance(old, deque):
        items = list(new)
        deque.clear(old)
        deque.extend(old, items)
    elif isinstance(old, dict):
        base = next(each for each in type(old).__mro__ if each.__module__ in _OF_PYTHON)
        items = list(base.items(new))
        base.clear(old)
        for key, item in items:
            base.__setitem__(old, key, item)
        if isinstance(old, defaultdict):
            old.default_factory = new.default_factory
    elif isinstance(old, set):
        items = list(new)
        set.clear(old)
        set.update(old, items)


def _fill_attributes(old: Any, new: Any) -> None:
    own = introspection.attributes(old)
    if isinstance(old, BaseException):
        old.args = new.args
    if type(old).__module__ not in _OF_PYTHON or isinstance(old, BaseException):
        if own or introspection.attributes(new):
            content = dict(vars(new))
            vars(old).clear()
            vars(old).update(content)
        for name in _slots(type(old)):
            try:
                object.__setattr__(old, name, object.__getattribute__(new, name))
            except AttributeError:  # the new one has none
                if hasattr(old, name):
                    object.__delattr__(old, name)


_OF_PYTHON: Final = frozenset({"builtins", "collections"})
#: Size of a reference, which is what a slot takes.
_WORD: Final = struct.calcsize("P")


def _slots(kind: type) -> list[str]:
    """Return the names of the slots that a class of the user's and its bases define."""
    found: list[str] = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ()) if not user_code.is_native(base) else ()
        names = (slots,) if isinstance(slots, str) else tuple(slots)
        own = (name for name in names if name not in ("__dict__", "__weakref__"))
        found += (
            f"_{base.__name__.lstrip('_')}{name}"
            if name[:2] == "__" and name[-2:] != "__"
            else name
            for name in own
        )
    return found


def _is_of_python(kind: type) -> bool:
    """Return True if all of an instance's state is in attributes, slots and items: no other base is
    written in C."""
    if issubclass(kind, (tuple, frozenset)):
        return False
    return all(
        base in (object, SimpleNamespace, *CONTAINERS) or base.__module__ == "collections"
        or issubclass(base, BaseException) or not _has_memory(base)
        for base in kind.__mro__
    )  # fmt: skip


def _has_memory(kind: type) -> bool:
    """Return True for a class whose instances have memory of their own beside attributes and slots:
    it is written in C, or in Rust as those of polars."""
    if user_code.is_native(kind) or kind.__base__ is None:
        return True
    own = vars(kind)
    slots = sum(type(member) is MemberDescriptorType for member in own.values())
    slots += ("__dict__" in own) + ("__weakref__" in own)
    return kind.__basicsize__ > kind.__base__.__basicsize__ + slots * _WORD
