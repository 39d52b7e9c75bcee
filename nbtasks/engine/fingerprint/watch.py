"""Cache guard: a cheap check that values read from globals and closures are still the same.

A fingerprint depends on everything that a function refers to, and every replayed task needs the
fingerprint of its function. Collecting the references again would take some 30 microseconds for a
small function, and more for a large one. A `Watch` keeps the values that were read, and compares
them by identity in about one microsecond: this is what makes it possible to cache fingerprints.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from operator import attrgetter, is_
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, Protocol

from nbtasks.core.parameters import definition_of, unwrapped

__all__ = ["FIELD_TABLES", "MISSING", "Watch", "cell_contents", "is_lasting"]

#: Stands for the content of an empty cell, and for a missing name.
MISSING: Any = object()
#: Names under which a class keeps its fields: of dataclasses, attrs, pydantic and named tuples.
FIELD_TABLES = (
    "__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__", "_field_defaults",
)  # fmt: skip

_code, _defaults = attrgetter("__code__"), attrgetter("__defaults__")
_own = attrgetter("__dict__")
_KEPT = (FunctionType, ModuleType, type, int, float, complex, str, tuple, type(None))
_METHODS = (property, staticmethod, classmethod)
_CONSTANTS = (int, float, complex, str, bytes, bool, type(None))
_TABLES = frozenset([*FIELD_TABLES, "_member_map_"])
Names = dict[str, Any]


class Holds(Protocol):
    """Values that may be the same as before."""

    def holds(self) -> bool:
        """Return True if they are."""


class _Defined(NamedTuple):
    """Task function, with the definition that it has."""

    fn: Any
    definition: Any

    def holds(self) -> bool:
        """Return True if it still has that."""
        return definition_of(self.fn) is self.definition


class Watch:
    """Values that were read, with the places they were read from.

    A constant, a function, a class or a module is compared by identity; any other callable, too,
    but without keeping it alive. Data is compared by its type, so that large objects are neither
    kept alive nor examined.

    Call `seal` after the last value: it arranges the values as tuples, for `holds` to compare by
    `map` without a loop in Python for each name.
    """

    def __init__(self) -> None:
        self._same: dict[int, tuple[Names, Names]] = {}
        self._typed: dict[int, tuple[Names, Names]] = {}
        self._weak: list[tuple[Names, str, weakref.ref[Any]]] = []
        self._cells: list[tuple[CellType, Any, bool]] = []
        self._snapshots: list[Holds] = []
        self._classes: list[tuple[Any, tuple[str, ...], tuple[Any, ...], int]] = []
        self._class_data: list[tuple[Any, tuple[str, ...], tuple[type, ...]]] = []
        self._functions: dict[int, FunctionType] = {}
        self._sealed: tuple[Any, ...] = ()
        self._others = False

    def name(self, names: Names, name: str, value: Any, *, is_data: bool) -> None:
        """Watch a name of a namespace. `None` stands for a missing name, too."""
        if not is_data and not issubclass(type(value), _KEPT):
            try:
                self._weak.append((names, name, weakref.ref(value)))
            except TypeError:
                pass  # a `property`, for example: rare and small, so keep it alive
            else:
                return
        group = self._typed if is_data else self._same
        group.setdefault(id(names), (names, {}))[1][name] = type(value) if is_data else value

    def cell(self, cell: CellType, value: Any, *, is_data: bool) -> None:
        """Watch a variable of an enclosing function."""
        self._cells.append((cell, type(value) if is_data else value, is_data))

    def function(self, fn: FunctionType) -> None:
        """Watch the code of a function, which changes when its module is reloaded in place."""
        self._functions[id(fn)] = fn

    def members(self, snapshot: Holds) -> None:
        """Watch the members of data that holds code."""
        self._snapshots.append(snapshot)

    def plain(self, value: Any) -> Any:
        """Return the plain function of a task function; other values as they are.

        Watch the definition, which changes when the module is reloaded in place.
        """
        fn = value.__func__ if type(value) is MethodType else value
        if (definition := definition_of(fn)) is None:
            return value
        self._snapshots.append(_Defined(fn, definition))
        return unwrapped(value)

    def attributes(self, cls: type, is_data: Callable[[Any], bool]) -> None:
        """Watch the functions and the constants of a class: others may be set from outside.

        Args:
            cls: The class.
            is_data: Predicate for values that count by their type.
        """
        own = vars(cls)
        same: list[str] = []
        typed: list[str] = []
        for name, value in own.items():
            if callable(value) or type(value) in _METHODS or name in _TABLES:
                same.append(name)
            elif name[:2] != "__" or name[-2:] != "__" or type(value) in _KEPT:
                (typed if is_data(value) else same).append(name)
        self._classes.append((own, tuple(same), tuple(map(own.get, same)), len(own)))
        if typed:
            types = tuple(map(type, map(own.get, typed)))
            self._class_data.append((own, tuple(typed), types))

    @property
    def is_lasting(self) -> bool:
        """True if keeping the values alive costs nothing: no data is reached through them."""
        return (
            not (self._cells or self._class_data)
            and all(isinstance(each, _Defined) for each in self._snapshots)
            and all(map(is_lasting, self._functions.values()))
        )

    def seal(self) -> bool:
        """End the collection and return True if anything was collected."""
        same, typed = (
            tuple(
                (names.get, tuple(watched), tuple(watched.values()))
                for names, watched in group.values()
            )
            for group in (self._same, self._typed)
        )
        fns = tuple(self._functions.values())
        own = tuple(map(_own, fns))
        attributes = (own, tuple(map(len, own)))
        self._sealed = (same, typed, fns, tuple(map(_code, fns)), tuple(map(_defaults, fns)),
                        *attributes)  # fmt: skip
        self._others = bool(self._cells or self._weak or self._snapshots or self._classes)
        return bool(same or typed or fns or self._others)

    def holds(self) -> bool:
        """Return True if every watched value is unchanged."""
        same, typed, fns, codes, defaults, own, sizes = self._sealed
        for get, names, values in same:
            if not all(map(is_, map(get, names), values)):
                return False
        for get, names, types in typed:
            if not all(map(is_, map(type, map(get, names)), types)):
                return False
        if fns and not (
            all(map(is_, map(_code, fns), codes))
            and all(map(is_, map(_defaults, fns), defaults))
            and tuple(map(len, own)) == sizes
        ):
            return False
        return not self._others or self._others_hold()

    def _others_hold(self) -> bool:
        for cell, expected, is_data in self._cells:
            value = cell_contents(cell)
            if (type(value) if is_data else value) is not expected:
                return False
        for own, names, values, count in self._classes:
            if len(own) != count or not all(map(is_, map(own.get, names), values)):
                return False
        for own, names, types in self._class_data:
            if not all(map(is_, map(type, map(own.get, names)), types)):
                return False
        return all(snapshot.holds() for snapshot in self._snapshots) and all(
            names.get(name) is ref() for names, name, ref in self._weak
        )


def cell_contents(cell: CellType) -> Any:
    """Return the content of a closure cell; `MISSING` if it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def is_lasting(value: Any) -> bool:
    """Return True if keeping a value alive keeps no data alive that somebody else has let go."""
    if type(value) is FunctionType:
        return not (value.__closure__ or value.__dict__ or value.__kwdefaults__) and all(
            type(default) in _CONSTANTS for default in value.__defaults__ or ()
        )
    if issubclass(type(value), type):
        return "<locals>" not in value.__qualname__
    return type(value) in _CONSTANTS or issubclass(type(value), ModuleType)
