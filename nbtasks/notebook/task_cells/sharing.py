"""Objects that several names lead to: by which ways, and how to change them for all of them."""

from __future__ import annotations

import copy
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from random import Random
from types import FunctionType, ModuleType
from typing import Any, Final, NewType, ParamSpec, TypeVar, TypeVarTuple

from nbtasks.engine.fingerprint import introspection, tables, user_code

__all__ = [
    "FIXED", "TYPES", "Path", "fill", "find_parts", "group", "is_within", "members", "part_at",
    "reach", "replace", "walk",
]  # fmt: skip

#: Types whose objects do not change, or are the same ones everywhere.
FIXED: Final = (
    str, bytes, int, float, complex, bool, type(None), type, FunctionType, ModuleType, range,
)  # fmt: skip
#: Types of what stands in annotations only: a pickle of it is read where it is defined already.
TYPES: Final = (TypeVar, ParamSpec, TypeVarTuple, NewType)
_CONTAINERS: Final = (list, tuple, dict, set, frozenset, deque)
_SCALARS: Final = frozenset([str, bytes, int, float, complex, bool, type(None)])
_TABLES: Final = ("numpy", "pandas", "polars", "pyarrow")
_MOST: Final = 100_000


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
    while todo and len(seen) < _MOST:
        found = todo.pop()
        if isinstance(found, FIXED) or id(found) in seen:
            continue
        seen[id(found)] = found
        yield found
        todo += members(found)


def members(value: Any) -> Iterable[Any]:
    """Return the objects that a container or an object holds."""
    kind = type(value)
    found: list[Any] = []
    if isinstance(value, _CONTAINERS):
        parts = (*value, *value.values()) if isinstance(value, dict) else value
        found = [] if _SCALARS.issuperset(map(type, parts)) else list(parts)
        if kind.__module__ in ("builtins", "collections"):
            return found
    if kind.__module__.partition(".")[0] in _TABLES:
        return ()
    try:
        state = object.__getstate__(value)
    except Exception:  # noqa: BLE001 - an odd object of the user's
        return found
    fields = state if isinstance(state, tuple) else (state,)
    return [*found, *(part for part in fields if part)]


def is_within(value: Any) -> bool:
    """Return True if plain containers of a value hold one list or dict twice."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        found = todo.pop()
        kind = type(found)
        if kind not in (list, dict, tuple):
            continue
        if kind is not tuple:
            if id(found) in seen:
                return True
            seen.add(id(found))
        parts = found.values() if kind is dict else found
        if not _SCALARS.issuperset(map(type, parts)):
            todo += parts
        if len(seen) > _MOST:
            return False
    return False


# -- objects of inputs ----------------------------------------------------------------------------

#: Steps from an object to one of its parts: an item or a field.
Path = list[list[Any]]
_MOST_PLACES: Final = 10_000


def find_parts(inputs: Mapping[str, Any], values: Iterable[Any]) -> list[tuple[str, Path, Any]]:
    """Return the objects in inputs that values lead to, each with its input and the path there."""
    places = _places(inputs)
    found: dict[int, tuple[str, Path, Any]] = {}
    seen: dict[int, Any] = {}
    todo = [*values] if places else []
    while todo and len(seen) < _MOST:
        value = todo.pop()
        if isinstance(value, FIXED) or id(value) in seen:
            continue
        seen[id(value)] = value
        if id(value) in places:
            found[id(value)] = (*places[id(value)], value)
        else:
            todo += members(value)
    return list(found.values())


def _places(inputs: Mapping[str, Any]) -> dict[int, tuple[str, Path]]:
    places: dict[int, tuple[str, Path]] = {}
    todo: deque[tuple[Any, str, Path]] = deque((value, name, []) for name, value in inputs.items())
    while todo and len(places) < _MOST_PLACES:
        value, name, path = todo.popleft()
        if isinstance(value, (*FIXED, Enum)) or id(value) in places:
            continue
        kind = type(value)
        fields = {} if tables.is_pandas(value) else introspection.attributes(value)
        if kind in _CONTAINERS or fields or _is_table(value):
            places[id(value)] = name, path
        steps: Iterable[tuple[str, Any, Any]] = (("field", at, fields[at]) for at in fields)
        if kind in (list, tuple):
            steps = (("item", at, part) for at, part in enumerate(value))
        elif kind is dict:
            steps = (("item", at, value[at]) for at in value if type(at) in (str, int))
        todo += ((part, name, [*path, [step, at]]) for step, at, part in steps
                 if not isinstance(part, FIXED))  # fmt: skip
    return places


def part_at(value: Any, path: Path) -> Any:
    """Return the object at a path.

    Raises:
        LookupError: There is none.
    """
    for step, at in path:
        if step == "field":
            value = introspection.attributes(value)[at]
        elif type(value) in (list, tuple, dict):
            value = value[at]
        else:
            raise LookupError(at)
    return value


def replace(values: dict[str, Any], kept: Sequence[tuple[Any, Any, bool]]) -> dict[str, Any]:
    """Return values, and all in them, with living objects in place of some.

    Args:
        values: Values by name.
        kept: The objects, those that stand for them, and whether these were filled with them.
    """
    living = {id(new): old for new, old, _ in kept}
    whole = {name: living.get(id(value), value) for name, value in values.items()}
    others = {name: value for name, value in values.items() if id(value) not in living}
    contents = {id(new): copy.copy(new) for new, _, is_filled in kept
                if is_filled and not _is_table(new)}  # fmt: skip
    inside = (*others.values(), *contents.values())
    if all(living.keys().isdisjoint(reach(value)) for value in inside):
        return whole
    try:
        others, contents = copy.deepcopy((others, contents), dict(living))
    except Exception:  # noqa: BLE001 - an odd object keeps parts of its own
        return whole
    for key, content in contents.items():
        fill(living[key], content)
    return whole | others


def _is_table(value: Any) -> bool:
    return tables.is_pandas(value) or tables.is_array(value)


# -- changes in place -----------------------------------------------------------------------------


def fill(old: Any, new: Any) -> bool:
    """Give an object the content of another one of its type; return False if that cannot be."""
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    try:
        return _fill(old, new)
    except Exception:  # noqa: BLE001 - an odd object is bound anew instead
        return False


def _fill(old: Any, new: Any) -> bool:
    kind = type(old)
    module = kind.__module__.partition(".")[0]
    if module in ("builtins", "collections"):
        return _fill_container(old, new)
    if kind is Random:
        old.setstate(new.getstate())
    elif module == "pandas" and hasattr(old, "_update_inplace"):
        old._update_inplace(new)  # noqa: SLF001 - what its own `inplace=True` calls
        old.attrs = new.attrs
    elif module == "numpy":
        return _fill_array(old, new)
    elif _has_attributes_only(kind):
        vars(old).clear()
        vars(old).update(vars(new))
    else:
        return False
    return True


def _fill_container(old: Any, new: Any) -> bool:
    if isinstance(old, list | bytearray):
        old[:] = new
    elif isinstance(old, deque):
        old.clear()
        old.extend(new)
    elif isinstance(old, dict | set):
        old.clear()
        old.update(new)
        if isinstance(old, defaultdict):
            old.default_factory = new.default_factory
    else:
        return False
    return True


def _fill_array(old: Any, new: Any) -> bool:
    if hasattr(old, "bit_generator"):
        old.bit_generator.state = new.bit_generator.state
    elif hasattr(old, "set_state"):
        old.set_state(new.get_state())
    elif old.shape == new.shape and old.dtype == new.dtype:
        old[...] = new
    else:
        return False
    return True


def _has_attributes_only(kind: type) -> bool:
    """Return True if all of an instance's state is in its attributes: no base is written in C."""
    return all(
        base is object or not user_code.is_native(base) for base in kind.__mro__
    ) and not any(vars(base).get("__slots__") for base in kind.__mro__)
