"""Whether what was once read from globals and closures is still the same, asked cheaply."""

from __future__ import annotations

import weakref
from operator import attrgetter, is_
from types import CellType, FunctionType, ModuleType
from typing import Any

__all__ = ["MISSING", "Watch", "contents"]

#: What an empty cell holds.
MISSING: Any = object()

_code, _defaults = attrgetter("__code__"), attrgetter("__defaults__")
_KEPT = (FunctionType, ModuleType, type, int, float, complex, str, tuple, type(None))
Names = dict[str, Any]


class Watch:
    """What was read, and from where.

    A value is compared by identity if it is a constant, a function, a class or a module; any
    other callable, too, but without keeping it alive; data by its type.
    """

    def __init__(self) -> None:
        self._same: dict[int, tuple[Names, Names]] = {}
        self._typed: dict[int, tuple[Names, Names]] = {}
        self._weak: list[tuple[Names, str, weakref.ref[Any]]] = []
        self._cells: list[tuple[CellType, Any, bool]] = []
        self._functions: dict[int, FunctionType] = {}
        self._sealed: tuple[Any, ...] = ()

    def name(self, names: Names, name: str, value: Any, *, is_data: bool) -> None:
        """Watches a name of a namespace. `None` stands for a missing one, too."""
        if not is_data and not issubclass(type(value), _KEPT):
            try:
                self._weak.append((names, name, weakref.ref(value)))
            except TypeError:
                pass  # as rare as it is small: a `property`, say
            else:
                return
        group = self._typed if is_data else self._same
        group.setdefault(id(names), (names, {}))[1][name] = type(value) if is_data else value

    def cell(self, cell: CellType, value: Any, *, is_data: bool) -> None:
        """Watches a variable of an enclosing function."""
        self._cells.append((cell, type(value) if is_data else value, is_data))

    def function(self, fn: FunctionType) -> None:
        """Watches that a function is not given other code, as those of a reloaded module are."""
        self._functions[id(fn)] = fn

    def seal(self) -> bool:
        """Ends the collection, and tells whether anything was collected."""
        same, typed = (
            tuple((names.get, tuple(found), tuple(found.values())) for names, found in one.values())
            for one in (self._same, self._typed)
        )
        fns = tuple(self._functions.values())
        self._sealed = (same, typed, fns, tuple(map(_code, fns)), tuple(map(_defaults, fns)))
        return bool(same or typed or fns or self._cells or self._weak)

    def holds(self) -> bool:
        """Whether all is as it was."""
        same, typed, fns, codes, defaults = self._sealed
        for get, names, values in same:
            if not all(map(is_, map(get, names), values)):
                return False
        for get, names, types in typed:
            if not all(map(is_, map(type, map(get, names)), types)):
                return False
        if fns and not (
            all(map(is_, map(_code, fns), codes)) and all(map(is_, map(_defaults, fns), defaults))
        ):
            return False
        return not (self._cells or self._weak) or self._rest_holds()

    def _rest_holds(self) -> bool:
        for cell, kept, is_data in self._cells:
            value = contents(cell)
            if (type(value) if is_data else value) is not kept:
                return False
        return all(names.get(name) is ref() for names, name, ref in self._weak)


def contents(cell: CellType) -> Any:
    """What a cell holds; `MISSING` if nothing yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
