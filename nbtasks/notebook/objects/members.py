"""Members of objects: what a value leads to, and which values lead to one object."""

from __future__ import annotations

import functools
import gc
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any, Final, NewType, ParamSpec, TypeVar, TypeVarTuple

from nbtasks.engine.fingerprint import tables, user_code
from nbtasks.engine.fingerprint.watch import MISSING, cell_contents
from nbtasks.notebook.objects import library_objects
from nbtasks.values import classes

__all__ = [
    "CONTAINERS", "FIXED", "ITERATORS", "MOST", "SCALARS", "TYPES", "behind", "cells", "group",
    "is_defined", "is_drawn", "is_for_use", "is_within", "members", "objects_in", "reach", "walk",
    "walk_all",
]  # fmt: skip

#: Types whose objects do not change, or are the same ones everywhere.
FIXED: Final = (
    str, bytes, int, float, complex, bool, type(None), type, FunctionType, ModuleType, range,
)  # fmt: skip
#: Types of what stands in annotations only: a pickle of it is read where it is defined already.
TYPES: Final = (TypeVar, ParamSpec, TypeVarTuple, NewType)
CONTAINERS: Final = (list, tuple, dict, set, frozenset, deque)
#: Types among them whose objects hold nothing, all but functions.
_LEAVES: Final = tuple(kind for kind in FIXED if kind is not FunctionType)
SCALARS: Final = frozenset([str, bytes, int, float, complex, bool, type(None)])
_TABLES: Final = ("numpy", "pandas", "polars", "pyarrow")
#: Iterators of Python's own that say what they stand on.
ITERATORS: Final[tuple[Any, ...]] = (
    type(iter([])), type(iter(())), type(reversed([])), enumerate, filter, map, zip,
)  # fmt: skip
#: The most objects to look at.
MOST: Final = 100_000


def group(values: Mapping[str, Any]) -> list[list[str]]:
    """Return the names in groups: two names that lead to one object are in the same group."""
    groups: list[tuple[list[str], set[int]]] = []
    for name, value in values.items():
        ids = set(reach(value))
        names = [name]
        rest = []
        for each in groups:
            if ids.isdisjoint(each[1]):
                rest.append(each)
            else:
                names, ids = [*each[0], *names], ids | each[1]
        groups = [*rest, (names, ids)]
    order = {name: place for place, name in enumerate(values)}
    found = [sorted(names, key=order.__getitem__) for names, _ in groups]
    return sorted(found, key=lambda names: order[names[0]])


def reach(value: Any) -> Iterator[int]:
    """Yield the ids of the objects that a value leads to and that can change."""
    return (id(found) for found in walk(value) if type(found) not in (tuple, frozenset))


def walk(value: Any) -> Iterator[Any]:
    """Yield a value and the objects that it leads to, each once, in an order that depends on them
    alone; what does not change is left out."""
    seen: dict[int, Any] = {}  # with the objects, so that no id is used twice
    todo: list[Any] = [value]
    while todo and len(seen) < MOST:
        found = todo.pop()
        if isinstance(found, _LEAVES) or id(found) in seen or is_defined(found):
            continue
        seen[id(found)] = found
        yield found
        todo += members(found)


def walk_all(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the objects that several values lead to, and what functions and classes among them
    hold."""
    todo = list(values)
    yield from todo
    for value in todo:
        if isinstance(value, type):
            todo += vars(value).values() if user_code.is_users_class(value) else ()
        elif type(value) is FunctionType:
            todo += _of_function(value)
    yield from walk(todo)


def is_defined(value: Any) -> bool:
    """Return True for a function that the notebook or a library defines: it has a name there."""
    if type(value) is not FunctionType:
        return False
    return not user_code.is_users_function(value) or (
        classes.function_now(value.__qualname__) is value
    )


def members(value: Any) -> Iterable[Any]:
    """Return the objects that a container, an object or a function holds."""
    kind = type(value)
    if kind in _OF_CODE:
        return _OF_CODE[kind](value)
    found: list[Any] = []
    if isinstance(value, CONTAINERS):
        parts = (*value, *value.values()) if isinstance(value, dict) else value
        found = [] if SCALARS.issuperset(map(type, parts)) else list(parts)
        if kind.__module__ in ("builtins", "collections"):
            return found
    if kind.__module__.partition(".")[0] in _TABLES:
        return objects_in(value) or [part for _, part in library_objects.parts(value)]
    if isinstance(value, ITERATORS):
        arguments: tuple[Any, ...] = value.__reduce__()[1]
        return arguments
    try:
        state = object.__getstate__(value)
    except Exception:  # noqa: BLE001 - an odd object of the user's
        return found
    fields = state if isinstance(state, tuple) else (state,)
    return [*found, *(part for part in fields if part)]


def objects_in(table: Any) -> list[Any]:
    """Return the elements of a frame or an array, if it holds objects that can change."""
    if tables.is_array(table):
        arrays = [table] if table.dtype.hasobject and table.dtype.names is None else []
    elif tables.is_pandas(table) and not hasattr(table, "get_level_values"):
        columns = [table.iloc[:, n] for n in range(table.shape[1])] if table.ndim > 1 else [table]
        infer = sys.modules["pandas"].api.types.infer_dtype
        arrays = [each.to_numpy() for each in columns if each.dtype == object]
        arrays = [each for each in arrays if infer(each, skipna=True).startswith("mixed")]
    else:
        return []
    items = [item for array in arrays for item in array.flat]
    return [] if SCALARS.issuperset(map(type, items)) else items


def is_for_use(kind: type) -> bool:
    """Return True for iterators, and objects of libraries such as clients and pools: a cell that
    only uses them need not record them."""
    is_container = kind.__module__ in ("builtins", "collections", "types")
    return hasattr(kind, "__next__") or not (is_container or user_code.is_users_class(kind))


def is_drawn(value: Any) -> bool:
    """Return True for a part of a plot, with which the whole figure would be recorded."""
    kind = type(value)
    return kind.__module__.partition(".")[0] == "matplotlib" and kind.__name__ != "Figure"


# -- functions, methods and the like ---------------------------------------------------------------


def cells(fn: FunctionType) -> list[Any]:
    """Return what a function's closure has; `MISSING` for what is not bound."""
    return list(map(cell_contents, fn.__closure__ or ()))


def _of_function(fn: FunctionType) -> list[Any]:
    if not user_code.is_users_function(fn):
        return []
    held = (*(fn.__closure__ or ()), *(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values())
    return [*held, *vars(fn).values()]


def behind(proxy: MappingProxyType[Any, Any]) -> Any:
    """Return the mapping that a proxy shows."""
    return gc.get_referents(proxy)[0]


def _of_partial(value: Any) -> list[Any]:
    return [value.func, *value.args, *value.keywords.values(), *vars(value).values()]


_OF_CODE: Final[dict[type, Callable[[Any], list[Any]]]] = {
    CellType: lambda cell: [part for part in [cell_contents(cell)] if part is not MISSING],
    FunctionType: _of_function,
    MethodType: lambda value: [value.__self__, value.__func__],
    BuiltinFunctionType: lambda value: [value.__self__],
    functools.partial: _of_partial,
    MappingProxyType: lambda value: [behind(value)],
}


def is_within(value: Any) -> bool:
    """Return True if a value holds one object that can change twice."""
    seen: dict[int, Any] = {}
    todo = [value]
    while todo and len(seen) < MOST:
        found = todo.pop()
        if isinstance(found, FIXED):
            continue
        if type(found) not in (tuple, frozenset):
            if id(found) in seen:
                return True
            seen[id(found)] = found
        todo += members(found)
    return False
