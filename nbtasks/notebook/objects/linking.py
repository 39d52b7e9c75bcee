"""Links from recorded values to the living objects that stand for parts of them."""

from __future__ import annotations

import functools
from collections import deque
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType
from typing import Any, Final

from nbtasks.engine.fingerprint import introspection, tables, user_code
from nbtasks.engine.fingerprint.watch import MISSING, cell_contents
from nbtasks.notebook.objects import library_objects
from nbtasks.notebook.objects.filling import can_fill, fill
from nbtasks.notebook.objects.members import (
    CONTAINERS,
    FIXED,
    ITERATORS,
    MOST,
    SCALARS,
    behind,
    objects_in,
)

__all__ = ["Links"]

_OF_PYTHON: Final = frozenset({"builtins", "collections"})

_LEAVES: Final = tuple(kind for kind in FIXED if kind is not FunctionType)


class Links:
    """Living objects that stand for recorded ones, from which they may take their content.

    Attributes:
        replaced: Living objects that could not be filled after all, each with the recorded one.
    """

    def __init__(self) -> None:
        self._living: dict[int, Any] = {}
        self._filled: dict[int, tuple[Any, Any]] = {}
        self._held: dict[int, Any] = {}
        self._seen: dict[int, tuple[Any, Any]] = {}  # recorded objects, and what stands for them
        self.replaced: list[tuple[Any, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._living or self._held)

    def keep(self, new: Any, old: Any) -> None:
        """Let a living object stand for a recorded one, as it is."""
        if id(new) not in self._living:
            self._living[id(new)] = old
            self._seen[id(new)] = new, old

    def fill(self, new: Any, old: Any) -> bool:
        """Let a living object stand for a recorded one and take its content; return False if it
        cannot.

        A tuple or a frozenset stands for the recorded one if its members turn out to do.
        """
        if isinstance(old, tuple | frozenset) and type(old) is type(new):
            self._held.setdefault(id(new), old)
            return True
        if not can_fill(old, new):
            return False
        if id(new) not in self._living:
            self._living[id(new)] = old
            self._filled[id(new)] = new, old
        return True

    def apply(self, values: dict[str, Any]) -> dict[str, Any]:
        """Give the living objects their content; return recorded values that refer to them."""
        for new, _ in self._filled.values():
            self._enter(new)
        linked = {name: self._link(value) for name, value in values.items()}
        for new, old in reversed(self._filled.values()):  # the members of a set before the set
            if not fill(old, new):
                self.replaced.append((old, new))
        return linked

    def link(self, value: Any) -> Any:
        """Return a value that refers to what stands for its members, or what stands for itself."""
        return self._link(value)

    def _link(self, value: Any) -> Any:
        """Return what stands for a recorded value."""
        if isinstance(value, _LEAVES):
            return value
        if id(value) in self._living:
            return self._living[id(value)]
        if id(value) in self._seen:
            return self._seen[id(value)][1]
        return self._enter(value)

    def _enter(self, value: Any) -> Any:
        """Let a recorded object refer to what stands for its members; return it, or one that does
        in its place if it cannot be changed."""
        if id(value) in self._seen:
            return self._seen[id(value)][1]
        self._seen[id(value)] = value, value
        try:
            found = self._enter_kind(value)
        except Exception:  # noqa: BLE001 - an odd object keeps parts of its own
            return value
        self._seen[id(value)] = value, found
        return found

    def _enter_kind(self, value: Any) -> Any:
        kind = type(value)
        if len(self._seen) > MOST:
            return value
        if kind in _WAYS:
            return _WAYS[kind](self, value)
        if isinstance(value, CONTAINERS):
            value = self._enter_container(value)
        elif tables.is_array(value) or tables.is_pandas(value):
            self._enter_table(value)
            return value
        elif library_objects.is_one(value):
            self._enter_generator(value)
            return value
        if kind.__module__ != "builtins" or isinstance(value, BaseException):
            self._enter_attributes(value)
        return value

    def _enter_container(self, value: Any) -> Any:
        is_dict = isinstance(value, dict)
        base: Any = next(each for each in type(value).__mro__ if each.__module__ in _OF_PYTHON)
        items = [*base.keys(value), *base.values(value)] if is_dict else list(base.__iter__(value))
        linked = self._link_all(items)
        if (held := self._held.get(id(value))) is not None and _holds(held, linked):
            if (own := introspection.attributes(value)) != introspection.attributes(held):
                vars(held).clear()
                vars(held).update(own)
            return held
        if linked is items:
            return value
        if is_dict:
            base.clear(value)
            for key, item in zip(
                linked[: len(linked) // 2], linked[len(linked) // 2 :], strict=True
            ):
                base.__setitem__(value, key, item)
        elif isinstance(value, list):
            list.__setitem__(value, slice(None), linked)
        elif isinstance(value, deque | set):
            base.clear(value)
            (base.extend if isinstance(value, deque) else base.update)(value, linked)
        else:
            return _new(value, linked)
        return value

    def _link_all(self, items: list[Any]) -> list[Any]:
        """Return what stands for items; the same list if it is they themselves."""
        if SCALARS.issuperset(map(type, items)):
            return items
        linked = [self._link(item) for item in items]
        is_same = all(one is other for one, other in zip(items, linked, strict=True))
        return items if is_same else linked

    def _enter_table(self, table: Any) -> None:
        if tables.is_array(table):
            for number, item in enumerate(objects_in(table)):
                if (linked := self._link(item)) is not item:
                    table.flat[number] = linked
            return
        width = table.shape[1] if table.ndim > 1 else 1
        for column in range(width):
            part = table.iloc[:, column] if table.ndim > 1 else table
            for row, item in enumerate(objects_in(part)):
                if (linked := self._link(item)) is not item:
                    table.iat[(row, column) if table.ndim > 1 else row] = linked

    def _enter_generator(self, value: Any) -> None:
        for name, part in library_objects.parts(value):
            linked = self._link(part)
            if name == "seed_seq" and linked is not part:
                value.__setstate__((value.state, linked))

    def _enter_attributes(self, value: Any) -> None:
        own = introspection.attributes(value)
        for name, part in list(own.items()):
            if (linked := self._link(part)) is not part:
                own[name] = linked
        state = object.__getstate__(value) if user_code.is_users_class(type(value)) else None
        slots = (state[1] or {}) if type(state) is tuple else {}
        for name, part in slots.items():
            if (linked := self._link(part)) is not part:
                object.__setattr__(value, name, linked)

    def _enter_function(self, fn: FunctionType) -> FunctionType:
        if not user_code.is_users_function(fn):
            return fn
        for cell in fn.__closure__ or ():
            if (content := cell_contents(cell)) is not MISSING:
                cell.cell_contents = self._link(content)
        if fn.__defaults__:
            fn.__defaults__ = tuple(self._link_all(list(fn.__defaults__)))
        for named in (fn.__kwdefaults__, fn.__dict__):
            if named:
                self._enter(named)
        return fn

    def _enter_method(self, value: Any) -> Any:
        own = self._link(value.__self__)
        if own is value.__self__:
            return value
        if type(value) is MethodType:
            return MethodType(value.__func__, own)
        return getattr(own, value.__name__)

    def _enter_partial(self, value: Any) -> Any:
        parts = value.func, value.args, value.keywords, vars(value)
        value.__setstate__(tuple(self._link(part) for part in parts))
        return value

    def _enter_proxy(self, value: Any) -> Any:
        mapping = behind(value)
        linked = self._link(mapping)
        return value if linked is mapping else MappingProxyType(linked)

    def _enter_iterator(self, value: Any) -> Any:
        make, args, *state = value.__reduce__()
        linked = self._link_all(list(args))
        if all(one is other for one, other in zip(args, linked, strict=True)):
            return value
        found = make(*linked)
        if state and state[0] is not None:
            found.__setstate__(state[0])
        return found


def _holds(held: Any, items: list[Any]) -> bool:
    """Return True if a tuple or a frozenset holds these very items, or equal ones that cannot
    change."""
    if len(held) != len(items):
        return False
    if isinstance(held, tuple):
        return all(map(_is_same, tuple.__iter__(held), items))
    ids = set(map(id, held))
    return all(id(item) in ids or (type(item) in SCALARS and item in held) for item in items)


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    return type(one) is type(other) and type(one) in SCALARS and bool(one == other or one != one)  # noqa: PLR0124 - not a number


def _new(value: Any, items: list[Any]) -> Any:
    """Return a tuple or frozenset like another one, with these items."""
    kind = type(value)
    base: Any = tuple if isinstance(value, tuple) else frozenset
    found = base.__new__(kind, items)
    if own := introspection.attributes(value):
        vars(found).update(own)
    return found


_WAYS: Final[dict[type, Any]] = {
    FunctionType: Links._enter_function,  # noqa: SLF001 - of this module
    MethodType: Links._enter_method,  # noqa: SLF001 - as above
    BuiltinFunctionType: Links._enter_method,  # noqa: SLF001 - as above
    functools.partial: Links._enter_partial,  # noqa: SLF001 - as above
    MappingProxyType: Links._enter_proxy,  # noqa: SLF001 - as above
    **dict.fromkeys(ITERATORS, Links._enter_iterator),  # noqa: SLF001 - as above
}
