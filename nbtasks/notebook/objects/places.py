"""Places of objects within others: paths of steps, such as an item, a field or a closure's cell.

A cell may change an object through another one that holds it. So a record says which of the objects
that were there before the cell stands where: a reused cell changes those.
"""

from __future__ import annotations

import datetime as dt
import functools
import numbers
import pathlib
import re
import uuid
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType
from typing import Any, Final, NamedTuple

from nbtasks.engine.fingerprint import arguments, introspection, tables, user_code
from nbtasks.notebook.objects import library_objects
from nbtasks.notebook.objects.members import (
    CONTAINERS,
    FIXED,
    ITERATORS,
    MOST,
    behind,
    cells,
    is_defined,
    members,
    objects_in,
    walk,
    walk_all,
)

__all__ = [
    "Moved",
    "Pair",
    "Path",
    "Place",
    "Snapshot",
    "find_left",
    "find_parts",
    "pairs",
    "part_at",
]

#: Steps from an object to one of its parts: a kind and a name or number.
Path = list[list[Any]]
_Step = tuple[str, str | int]
_MOST_PLACES: Final = 10_000
_MOST_MEMBERS: Final = 100  # of a set, which are to be compared
#: Packages whose objects are whole: what they hold belongs to them alone.
_WHOLE: Final = frozenset({"matplotlib", "nbtasks", "threading", "asyncio", "weakref", "logging"})


class Place(NamedTuple):
    """Place of an object.

    Attributes:
        name: Input that leads to it.
        path: Path from there.
        value: The object.
    """

    name: str
    path: Path
    value: Any


class Pair(NamedTuple):
    """Pair of a recorded object and the living one that it stands for.

    Attributes:
        new: The recorded object.
        living: The living one.
        is_private: Whether it stands in a private field of a library's object, which nobody shares.
    """

    new: Any
    living: Any
    is_private: bool


#: Places of the objects in a changed input that do not stand where they stood: their paths, with
#: the input and the path where they were before; with None if they were not there.
Moved = list[list[Any]]


def steps(value: Any) -> Iterator[tuple[_Step, Any]]:
    """Yield the objects that a value holds and that can change, each with the step to it."""
    return ((step, part) for step, part in _steps(value) if not _is_plain(part))


#: Types of what does not change and holds nothing.
_PLAIN: Final = (
    *(kind for kind in FIXED if kind is not FunctionType), Enum, numbers.Number, dt.date, dt.time,
    dt.timedelta, dt.tzinfo, uuid.UUID, pathlib.PurePath, re.Pattern,
)  # fmt: skip


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(isinstance(part, _PLAIN) for part in value)
    return isinstance(value, _PLAIN) or is_defined(value)


def _steps(value: Any) -> Iterator[tuple[_Step, Any]]:
    kind = type(value)
    if isinstance(value, CONTAINERS):
        yield from _steps_to_items(value)
    elif tables.is_array(value) or tables.is_pandas(value):
        yield from ((("element", number), part) for number, part in enumerate(objects_in(value)))
        yield from ((("axis", n), part) for n, part in enumerate(getattr(value, "axes", ())))
        return
    elif library_objects.is_one(value):
        yield from ((("field", name), part) for name, part in library_objects.parts(value))
    elif kind in _OF_CODE:
        yield from _OF_CODE[kind](value)
        return
    is_of_python = kind.__module__ == "builtins" and not isinstance(value, BaseException)
    if not is_of_python and kind.__module__.partition(".")[0] not in _WHOLE:
        fields = {**introspection.attributes(value), **_slots(value)}
        yield from ((("field", name), part) for name, part in fields.items())


def _steps_to_items(value: Any) -> Iterator[tuple[_Step, Any]]:
    if isinstance(value, dict):
        for number, (key, part) in enumerate(value.items()):
            step = _step_to(key)
            if step is None:  # an object
                yield ("key", number), key
            yield step or ("value", number), part
    elif isinstance(value, set | frozenset):
        yield from ((("member", number), part) for number, part in enumerate(_members(value)))
    else:
        yield from ((("item", number), part) for number, part in enumerate(value))


def _step_to(key: Any) -> _Step | None:
    if type(key) in (str, int):
        return "item", key
    text = introspection.constant(key)
    return None if text is None else ("item", f"{text}:")


def _members(value: Any) -> list[Any]:
    """Return the members of a set that can change, in the order of their contents."""
    found = [part for part in value if not _is_plain(part)]
    if len(found) > _MOST_MEMBERS:
        return []
    return sorted(found, key=arguments.contents)


def _slots(value: Any) -> dict[str, Any]:
    kind = type(value)
    if not user_code.is_users_class(kind):
        return {}
    state = object.__getstate__(value)
    return (state[1] or {}) if type(state) is tuple else {}


def _steps_of_function(fn: FunctionType) -> Iterator[tuple[_Step, Any]]:
    if user_code.is_users_function(fn):
        yield from zip((("cell", each) for each in fn.__code__.co_freevars), cells(fn), strict=True)
        yield from ((("default", n), part) for n, part in enumerate(fn.__defaults__ or ()))
        named = {**(fn.__kwdefaults__ or {}), **vars(fn)}
        yield from ((("field", name), part) for name, part in named.items())


def _steps_of_method(value: Any) -> Iterator[tuple[_Step, Any]]:
    yield ("field", "__self__"), value.__self__


def _steps_of_partial(value: Any) -> Iterator[tuple[_Step, Any]]:
    yield ("field", "func"), value.func
    yield from ((("item", n), part) for n, part in enumerate(value.args))
    yield from ((("item", name), part) for name, part in value.keywords.items())


def _steps_of_proxy(value: Any) -> Iterator[tuple[_Step, Any]]:
    yield ("field", "mapping"), behind(value)


def _steps_of_iterator(value: Any) -> Iterator[tuple[_Step, Any]]:
    if isinstance(value, enumerate):  # it moves what it iterates
        return
    yield from ((("item", n), part) for n, part in enumerate(value.__reduce__()[1]))


_OF_CODE: Final[dict[type, Any]] = {
    FunctionType: _steps_of_function,
    MethodType: _steps_of_method,
    BuiltinFunctionType: _steps_of_method,
    functools.partial: _steps_of_partial,
    MappingProxyType: _steps_of_proxy,
    **dict.fromkeys(ITERATORS, _steps_of_iterator),
}


def part_at(value: Any, path: Path) -> Any:
    """Return the object at a path.

    Raises:
        LookupError: There is none.
    """
    for step, at in path:
        if step == "item" and type(value) in (list, dict):
            value = value[at]
            continue
        found = [part for each, part in steps(value) if each == (step, at)]
        if not found:
            raise LookupError(at)
        value = found[0]
    return value


# -- objects before a cell and after it -----------------------------------------------------------


class Snapshot:
    """Snapshot of the objects in inputs, and of where they are.

    Args:
        inputs: The inputs, by name.
    """

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self._places: dict[int, Place] = {}
        self._parts: dict[int, dict[_Step, int]] = {}
        self._is_whole = True
        todo = deque(Place(name, [], value) for name, value in inputs.items())
        while todo:
            place = todo.popleft()
            if _is_plain(place.value) or id(place.value) in self._places:
                continue
            if len(self._places) >= _MOST_PLACES:
                self._is_whole = False
                break
            self._places[id(place.value)] = place
            parts = self._parts[id(place.value)] = {}
            for step, part in steps(place.value):
                parts[step] = id(part)
                todo.append(Place(place.name, [*place.path, [*step]], part))

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places.values())

    def find(self, value: Any) -> Place | None:
        """Return the place where an object was; None if it was not there."""
        return self._places.get(id(value))

    def moved(self, value: Any) -> Moved | None:
        """Return which objects in a changed input do not stand where they stood; None if there are
        too many objects to tell."""
        if not self._is_whole:
            return None
        found: Moved = []
        seen: dict[int, Any] = {}
        todo: deque[tuple[Any, Path, int | None]] = deque([(value, [], id(value))])
        while todo:
            now, path, expected = todo.popleft()
            place = self.find(now)
            if id(now) != expected and not (place is None and expected is None):
                found.append([path, None if place is None else [place.name, place.path]])
            if id(now) in seen:
                continue
            seen[id(now)] = now
            if len(seen) > _MOST_PLACES:
                return None
            before = {} if place is None else self._parts[id(now)]
            todo += ((part, [*path, [*step]], before.get(step)) for step, part in steps(now))
        return found


def find_parts(snapshot: Snapshot, values: Iterable[Any]) -> list[Place]:
    """Return the places of the objects that values lead to and that were there before."""
    found: dict[int, Place] = {}
    seen: dict[int, Any] = {}
    todo = [*values]
    while todo and len(seen) < MOST:
        value = todo.pop()
        if _is_plain(value) or id(value) in seen:
            continue
        seen[id(value)] = value
        if (place := snapshot.find(value)) is not None:
            found[id(value)] = place
        else:
            todo += members(value)
    return list(found.values())


def find_left(
    snapshot: Snapshot, names: Collection[str], inputs: list[Any], others: list[Any]
) -> list[Place]:
    """Return the places of the objects that others still have, and that inputs do not hold any
    more; not of those that such an object holds.

    Args:
        snapshot: Objects of the inputs before the cell.
        names: Inputs whose objects may have changed.
        inputs: Those among them that are still the same objects.
        others: Other values of the notebook.
    """
    own = {id(found) for value in inputs for found in walk(value)}
    lost = [place for place in snapshot if place.name in names and id(place.value) not in own]
    seen = {id(found) for found in walk_all(others)} if lost else set()
    found = []
    for place in lost:
        if id(place.value) in seen and id(place.value) not in own:
            own |= {id(part) for part in walk(place.value)}
            found.append(place)
    return found


def pairs(new: Any, old: Any, moved: Moved, inputs: Mapping[str, Any]) -> Iterator[Pair]:
    """Yield recorded objects with the living ones that they stand for.

    Args:
        new: Recorded value of a changed input.
        old: Its living value, as it was before the cell.
        moved: Objects that do not stand where they stood.
        inputs: Inputs by name, as they were before the cell.
    """
    others = {_key(path): place for path, place in moved}
    seen: dict[int, Any] = {}
    todo: deque[tuple[Any, Any, tuple[Any, ...], bool]] = deque([(new, old, (), False)])
    while todo:
        now, living, path, is_private = todo.popleft()
        if path in others:
            living = _living(others[path], inputs)
        if id(now) in seen or len(seen) >= _MOST_PLACES:
            continue
        seen[id(now)] = now
        is_known = type(living) is type(now)
        if is_known:
            yield Pair(now, living, is_private)
        before = dict(steps(living)) if is_known else {}
        is_library = not user_code.is_users_class(type(now))
        todo += (
            (part, before.get(step), (*path, step), is_library and _is_private(step))
            for step, part in steps(now)
        )


def _is_private(step: _Step) -> bool:
    kind, name = step
    return kind == "field" and str(name)[:1] == "_"


def _key(path: Path) -> tuple[Any, ...]:
    return tuple(map(tuple, path))


def _living(place: list[Any] | None, inputs: Mapping[str, Any]) -> Any:
    if place is None:
        return None
    try:
        return part_at(inputs[place[0]], place[1])
    except (LookupError, TypeError):
        return None
